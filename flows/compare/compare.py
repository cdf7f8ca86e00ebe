"""`arbonn compare`: the arms of a claim, paired by seed, and in words whether the claim was seen."""

from __future__ import annotations

import math
import statistics as plain
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from arbonn.errors import InputError
from arbonn.flows.compare import statistics
from arbonn.flows.compare.claim import Claim, Comparison, load_claim, passes_of, recipe_of, runs
from arbonn.flows.compare.results import ArmResult, CompareResult, PairResult, Verdict
from arbonn.flows.compare.runs import Found, Task, run_all
from arbonn.flows.doctor import version_of
from arbonn.flows.progress import Report, silent
from arbonn.flows.store import Store

Values = dict[str, dict[str, list[float]]]  # arm, measure, one value a seed


def compare(
    path: Path, seeds: int | None = None, *, first_seed: int = 0, jobs: int = 1, store: Store | None = None, report: Report = silent
) -> CompareResult:
    """Trains every arm of the claim in `path` with each seed, or finds it in the store, and compares them pair by pair."""
    begin = time.perf_counter()
    claim = load_claim(path)
    numbers = range(first_seed, first_seed + (claim.needed if seeds is None else seeds))
    every = list(runs(claim, numbers))
    where = (store or Store()).root
    tasks = [Task(f"{arm.name}, seed {seed}", recipe_of(claim, path, arm, seed, s), claim.lower, where) for arm, seed, s in every]
    what = f"compare {claim.name}"
    report(what, 0.0)
    found = run_all(tasks, jobs, lambda done: report(what, done / len(tasks)))
    by_run = {(arm.name, seed, settings): result for (arm, seed, settings), result in zip(every, found, strict=True)}
    values: Values = {arm.name: {} for arm in claim.arms}
    for measure, when in dict.fromkeys([("accuracy", "end"), *((c.measure, c.when) for c in claim.comparisons)]):
        for arm in claim.arms:
            rows = [
                plain.fmean(_value(claim, path, by_run, arm.name, seed, settings, measure, when) for settings in claim.vary)
                for seed in numbers
            ]
            values[arm.name][_label(measure, when)] = rows
    arms = []
    for arm in claim.arms:
        recipe = recipe_of(claim, path, arm, numbers[0], claim.vary[0])
        mine = [result for (name, *_), result in by_run.items() if name == arm.name]
        arms.append(
            ArmResult(
                arm=arm.name,
                method=_chain(recipe.method),
                epochs=recipe.train.epochs,
                passes=passes_of(recipe),
                seconds=round(plain.fmean(result.seconds for result in mine), 2),
                mean={name: plain.fmean(rows) for name, rows in values[arm.name].items()},
                std={name: plain.stdev(rows) if len(rows) > 1 else 0.0 for name, rows in values[arm.name].items()},
                values=values[arm.name],
            )
        )
    pairs = judge(claim, values)
    verdict = whole_verdict([pair.verdict for pair in pairs if pair.claim])
    return CompareResult(
        name=claim.name, claim=claim.claim, paper=claim.paper, kind=claim.kind, null=claim.null, note=claim.note,
        needed_seeds=claim.needed, seeds=list(numbers), verdict=verdict, sentence=sentence(claim, pairs, verdict, len(numbers)),
        arms=arms, pairs=pairs, date=datetime.now(UTC).date().isoformat(),
        command=f"arbonn compare {path} --seeds {len(numbers)}" + (f" --first-seed {first_seed}" if first_seed else ""),
        versions={name: version_of(name) for name in ("arbonn", "torch", "brevitas", "numpy", "scipy", "scikit-learn")},
        trained=sum(not result.cached for result in found), seconds=round(time.perf_counter() - begin, 1),
    )  # fmt: skip


def judge(claim: Claim, values: Values) -> list[PairResult]:
    """Every comparison of a claim, corrected over all of them; values: arm, measure, one value a seed."""
    tests = [statistics.paired(differences(c, values)) for c in claim.comparisons]
    raw = [statistics.equivalence(t, c.within) if c.within else t.p for t, c in zip(tests, claim.comparisons, strict=True)]
    corrected = statistics.holm(raw)
    return [
        PairResult(
            arm=c.arm, against=c.against, measure=c.measure, when=c.when, scale=c.scale, direction=c.direction, within=c.within,
            claim=c.claim, pairs=t.n, difference=t.mean, low=_finite(t.low), high=_finite(t.high), p=p, p_wilcoxon=t.p_wilcoxon,
            p_corrected=q, smallest_effect=_finite(statistics.smallest_effect(t.deviation, t.n, len(tests))),
            verdict=verdict_of(c, t, q, claim.needed),
        )
        for c, t, p, q in zip(claim.comparisons, tests, raw, corrected, strict=True)
    ]  # fmt: skip


def differences(comparison: Comparison, values: Values) -> list[float]:
    """`arm` minus `against` for each seed, on the comparison's scale."""
    label = _label(comparison.measure, comparison.when)
    one, other = values[comparison.arm][label], values[comparison.against][label]
    if comparison.scale == "log10":
        one, other = ([math.log10(value + statistics.FLOOR) for value in rows] for rows in (one, other))
    return [a - b for a, b in zip(one, other, strict=True)]


def verdict_of(comparison: Comparison, found: statistics.Paired, corrected: float, needed: int) -> Verdict:
    """In words. With fewer seeds than the protocol wants no comparison is seen, whatever its p; nor is it contradicted."""
    sure = corrected < statistics.LEVEL
    if comparison.within is not None:
        outside = found.low > comparison.within or found.high < -comparison.within
        if found.n < needed:
            return "smoke: points the claimed way" if abs(found.mean) < comparison.within else "smoke: points against"
        return "seen" if sure else "contradicted" if outside else "not shown"
    along = found.mean > 0 if comparison.direction == "higher" else found.mean < 0
    if found.n < needed:
        return "smoke: no difference" if found.mean == 0 else "smoke: points the claimed way" if along else "smoke: points against"
    return "not shown" if not sure else "seen" if along else "contradicted"


def whole_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Seen if all are, contradicted if one is, else not shown; of a smoke run, the least favourable."""
    order: tuple[Verdict, ...] = (
        "contradicted", "not shown", "seen", "smoke: points against", "smoke: no difference", "smoke: points the claimed way"
    )  # fmt: skip
    return min(verdicts, key=order.index)


def sentence(claim: Claim, pairs: Sequence[PairResult], verdict: Verdict, seeds: int) -> str:
    """The verdict and its reason as one sentence."""
    parts = [pair for pair in pairs if pair.claim]
    if seeds < claim.needed:
        return f"A smoke run of {seeds} seeds of the {claim.needed} that a {claim.kind} needs: nothing is shown ({verdict[7:]})."
    agreeing = [pair for pair in parts if pair.verdict == "seen"]
    against = [pair for pair in parts if pair.verdict == "contradicted"]
    if verdict == "seen":
        return f"The claim is seen in all {len(parts)} comparisons that bear it." if len(parts) > 1 else "The claim is seen."
    if verdict == "contradicted":
        return f"The claim is contradicted: {'; '.join(_in_words(pair) for pair in against)}."
    missing = [pair for pair in parts if pair.verdict == "not shown"]
    seen = f" ({len(agreeing)} of {len(parts)} comparisons are seen)" if agreeing else ""
    return f"The claim is not shown{seen}: {'; '.join(_in_words(pair) for pair in missing)}."


def _in_words(pair: PairResult) -> str:
    where = f"{_label(pair.measure, pair.when)} of `{pair.arm}` minus `{pair.against}`"
    effect = (
        ""
        if pair.smallest_effect is None or pair.verdict != "not shown"
        else f", an effect of {pair.smallest_effect:.3g} would have been seen"
    )
    return f"{where} is {pair.difference:+.3g}{effect}"


def _label(measure: str, when: str) -> str:
    return measure if when == "end" else f"{measure}, {when}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _chain(method: object) -> str:
    from arbonn.model.methods.compose import chain

    names = [options.name for options, _ in chain(method)]
    return "(".join(names) + ")" * (len(names) - 1)


def _value(
    claim: Claim, path: Path, by_run: dict[tuple[str, int, tuple[str, ...]], Found], arm: str, seed: int, settings: tuple[str, ...],
    measure: str, when: str,
) -> float:  # fmt: skip
    run = by_run[arm, seed, settings]
    if measure in ("mce", "relative_mce"):
        assert claim.base is not None
        return mean_corruption_error(run.end, by_run[claim.base, seed, settings].end, measure == "relative_mce")
    value = run.value(measure, when)
    if value is None:
        known = sorted(getattr(run, when))
        raise InputError(f"{path}: comparisons.measure", found=f"`{arm}` reports no `{measure}`", allowed=", ".join(known))
    return value


def mean_corruption_error(figures: dict[str, float], base: dict[str, float], relative: bool) -> float:
    """mCE = mean over corruptions of sum_s E / sum_s E_base (arXiv 1903.12261); relative: of E - E_clean in both sums.

    A corruption that does not hurt the base network has no ratio, and is left out.
    """
    ratios = []
    for name in (name for name in figures if name.startswith("corruption_error/")):
        top, bottom = (f[name] - (f["clean_error"] if relative else 0.0) for f in (figures, base))
        if bottom > 0:
            ratios.append(top / bottom)
    return plain.fmean(ratios) if ratios else 1.0
