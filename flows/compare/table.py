"""Comparisons for people: a table on the terminal and one in Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from arbonn.flows.compare.results import CompareResult, PairResult

HEAD = ("comparison", "measure", "arm", "against", "difference [95 %]", "p", "p, Holm", "could see", "verdict")


def rows(result: CompareResult) -> list[tuple[str, ...]]:
    """One row a comparison, in the columns of `HEAD`."""
    arms = {arm.arm: arm for arm in result.arms}
    found: list[tuple[str, ...]] = []
    for pair in result.pairs:
        label = pair.measure if pair.when == "end" else f"{pair.measure}, {pair.when}"
        one, other = (f"{arms[name].mean[label]:.4g} ± {arms[name].std[label]:.2g}" for name in (pair.arm, pair.against))
        found.append(
            (
                f"{pair.arm} {_sign(pair)} {pair.against}",
                label + (", log10" if pair.scale == "log10" else ""),
                one,
                other,
                f"{pair.difference:+.3g} [{_number(pair.low)}, {_number(pair.high)}]",
                f"{pair.p:.2g}",
                f"{pair.p_corrected:.2g}",
                _number(pair.smallest_effect).lstrip("+"),
                pair.verdict + ("" if pair.claim else " (beside the claim)"),
            )
        )
    return found


def _sign(pair: PairResult) -> str:
    return {"higher": ">", "lower": "<", "equal": f"= within {pair.within:g} of" if pair.within else "="}[pair.direction]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3g}"


def show(results: Sequence[CompareResult]) -> None:
    """For a person at a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    for result in results:
        console.print(f"{result.name}: {result.verdict}", style="bold", markup=False)
        console.print(f"{result.claim} ({result.paper})", markup=False)
        for arm in result.arms:
            line = f"{arm.arm}: {arm.method}, {arm.epochs} epochs, {arm.passes:g} passes, accuracy"
            console.print(f"  {line} {arm.mean['accuracy']:.4f} ± {arm.std['accuracy']:.4f}", markup=False)
        for what, measure, one, other, difference, p, corrected, least, verdict in rows(result):
            console.print(f"  {what}, {measure}: {one} against {other}", style="cyan", markup=False)
            console.print(f"    {difference}, p {p}, with Holm {corrected}, could see {least}: {verdict}", markup=False)
        console.print(result.sentence + "\n", markup=False)


def markdown(results: Sequence[CompareResult], command: str) -> str:
    """All results as one page, nulls included."""
    versions = ", ".join(f"{name} {version}" for name, version in results[0].versions.items() if version)
    dates = sorted({result.date for result in results})
    lines = [
        "# Claims, measured",
        "",
        "Written by `arbonn compare --table`; do not edit. Every arm and every comparison is here, null results too.",
        "",
        f"- Date: {' to '.join(dict.fromkeys((dates[0], dates[-1])))}. Versions: {versions}.",
        f"- Command: `{command}`.",
        "- Arms share initial weights, batch order and variations by seed; p is that of a paired t test of the difference, where the claim",
        "  is that two are equal that of two one-sided tests (a small p shows that they are); Holm over the comparisons of a claim.",
        "  *could see* is the difference that 80 % of such runs would have found.",
        "- *seen* takes 8 seeds for a mechanism, 10 for an accuracy. *not shown* says that nothing was found, not that there is nothing.",
        "",
        "| claim | paper | seeds | verdict |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| [{_cell(result.claim)}](#{result.name.lower()}) | {_cell(result.paper)} | {len(result.seeds)} | **{result.verdict}** |"
        for result in results
    ]
    for result in results:
        lines += ["", f"## {result.name}", "", f"{result.claim} ({result.paper})", "", result.sentence]
        lines += [f"Null result would be: {result.null}."]
        if result.note:
            lines += ["", result.note]
        lines += ["", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows(result)]
        lines += ["", "| arm | method | epochs | passes | accuracy | seconds a run |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {arm.arm} | {arm.method} | {arm.epochs} | {arm.passes:g} | {arm.mean['accuracy']:.4f} ± {arm.std['accuracy']:.4f} "
            f"| {arm.seconds:g} |"
            for arm in result.arms
        ]
        lines += ["", f"`{result.command}`"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
