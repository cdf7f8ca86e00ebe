"""The measurements by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from arbonn.errors import ToolError
from arbonn.flows.bench.rows import Row
from arbonn.flows.bench.table import Group
from arbonn.flows.bench_hw import clock, layers, networks, popcounts

MODEL = "TFC_1W1A.onnx"


def _of_tfc(group: Callable[[Path, Path], Iterable[Row]]) -> Group:
    def rows(data: Path | None, folder: Path) -> Iterable[Row]:
        if data is None or not (data / MODEL).is_file():
            raise ToolError("ARBONN_DATA", found="not set" if data is None else f"no {MODEL} in {data}", allowed=f"the folder with {MODEL}")
        return group(data / MODEL, folder)

    return rows


GROUPS: dict[str, Group] = {
    "layers": lambda data, folder: layers.rows(),
    "da4ml": lambda data, folder: layers.beside_da4ml(),
    "popcount": lambda data, folder: popcounts.rows(),
    "tfc": _of_tfc(lambda model, folder: networks.beside(networks.TFC, model)),
    "cnv": lambda data, folder: networks.cnv(folder),
    "published": lambda data, folder: networks.published(),
    "ecp5": _of_tfc(clock.ecp5),
    "ice40": lambda data, folder: clock.ice40(folder),
}
"""Each raises ToolError where a tool or the data is missing."""
