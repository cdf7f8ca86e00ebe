"""What `arbonn lower` tells beside its stage: what of a file would not lower, what lowers at all, and the network in another dialect."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from arbonn.flows.commands.answer import Answer, table


def dry_run_answer(model: Path, contract: str | None, input_table: Path | None) -> Answer:
    """Exit code 2 where something does not lower."""
    from arbonn.flows.dry_run import dry_run

    result = dry_run(model, contract, input_table)

    def show() -> None:
        if result.problems:
            rows = [(p.node, p.operator, p.why, p.fix) for p in result.problems]
            listing(f"{model.name}: {_count(len(rows), 'problem')}", ("node", "operator", "why", "what would help"), rows)
            return
        layers = [(x.node, x.operator, _sizes(x.shape), _sizes(x.after), _sizes(x.weights) if x.weight_bits else "") for x in result.layers]
        listing(f"{model.name}: lowers", ("layer", "operator", "takes", "gives", "weights"), layers)
        table("", {"input": f"{result.input}, shape {_sizes(result.input_shape)}", "weights": f"{result.weight_bits} bits"})

    return Answer(result.as_json(), show, exit_code=0 if result.lowers else 2)


def operators_answer() -> Answer:
    """Every operator that lowers."""
    from arbonn.flows.lowering.operator_list import operator_list

    found = operator_list()
    data = {"schema": 1, "operators": [row._asdict() for row in found]}
    headings = ("operator", "of", "kind", "becomes", "limits")
    return Answer(data, lambda: listing(f"{len(found)} operators lower", headings, found))


def emitted_file(out: Path) -> dict[str, dict[str, object]]:
    """Writes the graph in `out` as finn-base reads it, after a comparison; what the answer says of it."""
    from arbonn.files import writing
    from arbonn.flows.finn.compare import compared
    from arbonn.flows.finn.dialect import FILE, emit
    from arbonn.hw import graph_file

    graph = graph_file.load(out)
    logits = compared(graph)
    with writing(out / FILE):
        emit(graph, out / FILE)
    return {"emitted": {"file": FILE, "compared": logits}}


def listing(title: str, headings: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """A table with headings for a person."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, box=box.SIMPLE, title_justify="left", title_style="bold")
    for k, heading in enumerate(headings):
        drawn.add_column(heading, overflow="fold", style="cyan" if k == 0 else "")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    Console().print(drawn, markup=False)


def _sizes(sizes: list[int]) -> str:
    return " x ".join(map(str, sizes))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
