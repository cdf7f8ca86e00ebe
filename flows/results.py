"""What every stage gives back, as data: units in the names, fractions in [0, 1] for accuracies, JSON by `as_json`.

A result lies beside its files in the store as `result.json`. Paths in it are relative to `folder`, which is where the reader found it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1


IMAGES, LABELS = "test_codes.npy", "test_labels.npy"  # of a training, beside its model


class Result(BaseModel):
    """Base of all results; `schema` rises when a key changes its meaning or goes away."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_number: int = Field(default=SCHEMA, validation_alias="schema", serialization_alias="schema")  # pydantic has a `schema`

    def as_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return self.model_dump(mode="json", by_alias=True)


class StageResult(Result):
    """`seconds` is what making it took, also when `cached` says that it was found in the store; `versions` of the tools that made it."""

    versions: dict[str, str | None] = {}
    seconds: float = 0.0
    cached: bool = False
    folder: str = ""

    def file(self, name: str) -> Path:
        """The path of one of its files."""
        return Path(self.folder) / name


class TrainResult(StageResult):
    """`float_accuracy`: the trained network on the test images, before it is lowered; `val_accuracy`: what the epoch was chosen by."""

    method: str
    seed: int
    float_accuracy: float
    val_accuracy: float
    epochs: int
    best_epoch: int
    binary_weights: int
    measures: dict[str, float]
    model: str = "model.onnx"
    test_codes: str = IMAGES
    test_labels: str = LABELS


class LowerResult(StageResult):
    """A lowered and folded graph. `mismatches`, `ties`: integers that differ from QONNX's own execution of the file."""

    nodes: int
    units: dict[str, int]
    input: str
    input_source: str
    notes: list[str]
    weight_bits: int
    verified_samples: int
    verified_integers: int
    samples_source: str
    labels_equal: int
    mismatches: int
    first_mismatch: str | None
    ties: int
    tie_list: list[dict[str, int | str]]
    folding: dict[str, dict[str, int]]
    bottleneck: str
    first_out_cycles: int
    latency_cycles: int
    interval_cycles: float
    fifo_bits: int
    luts_estimated: float
    ffs_estimated: int
    brams_estimated: int
    graph: str = "graph.json"
    graph_digest: str


class SimulatorResult(BaseModel):
    """One simulator's share of a check; `skipped` is the reason where it was not run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    frames: int
    runs: int
    cycles: int
    cycles_per_s: float | None
    skipped: str | None


class CheckResult(StageResult):
    """RTL against the models over all runs: payloads and cycles that differ, breaches of the stream rules, and the first of them."""

    frames: int
    frames_source: str
    transfers: int
    bit_mismatches: int
    cycle_mismatches: int
    violations: int
    stall_patterns: list[dict[str, int | float | str]]
    simulators: list[SimulatorResult]
    predicted_first_out_cycles: int | None
    predicted_latency_cycles: int | None
    predicted_interval_cycles: float | None
    first_out_cycles: int | None
    latency_cycles: int | None
    interval_cycles: float | None
    first_difference: str | None
    waves: str | None


class EvalResult(StageResult):
    """The integer network on labelled images, by the reference that the hardware equals."""

    accuracy: float
    correct: int
    frames: int
    images_per_second: float


class SynthResult(StageResult):
    """Cells of the accelerator alone, without a board's shell, after synthesis and before place and route."""

    family: str
    luts: int
    ffs: int
    brams: int
    carry: int


class BuildResult(StageResult):
    """A bitstream. `luts`, `ffs`, `brams`, `carry` are cells after synthesis; `used` and `available` are the packed device's.

    `slowest_path`: between which flip-flops or RAMs, empty if unknown.
    `fps_core_*`: frames a second that the accelerator takes, at the fastest clock that timing allows and at the board's own clock;
    `fps_link`: frames a second that the board's link carries, requests and answers.
    """

    board: str
    luts: int
    ffs: int
    brams: int
    carry: int
    used: dict[str, int]
    available: dict[str, int]
    fmax_mhz: float
    clock_mhz: float
    timing_met: bool
    slowest_path: str = ""
    fps_core_at_fmax: float
    fps_core_at_clock: float
    fps_link: float
    bitstream: str
    bitstream_bytes: int
    bitstream_sha256: str


class UnitCells(BaseModel):
    """Cells of one instance and all in it; `unit` is its path, empty for the whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: str
    luts: int
    ffs: int
    brams: int
    carry: int


class PackageResult(StageResult):
    """Files for AMD's tools, and cells by open synthesis with the hierarchy kept. The bitstream is left to Vivado and `build.tcl`."""

    board: str
    part: str
    clock_mhz: float
    luts: int
    ffs: int
    brams: int
    carry: int
    units: list[UnitCells]
    files: list[str]


class NetlistResult(StageResult):
    """What was built, simulated at its pins. `mismatches`: answers that are not the reference's.

    `compared`: the `bitstream`, turned back into a netlist, or the netlist of `synthesis` where no tool turns it back.
    `rtl_mismatches`: the same of the RTL; `cycles_equal`: every edge of the answers in the same cycle as in the RTL, and the device's own
    count the predicted one. `skipped` is the reason where a tool is missing.
    """

    compared: str = "bitstream"
    frames: int
    mismatches: int
    rtl_mismatches: int
    cycles_equal: bool
    device_cycles: list[int]
    predicted_cycles: int
    edges: int
    first_difference: str | None
    skipped: str | None


class InferResult(StageResult):
    """Answers of a board. `mismatches`: answers that differ from the reference, null where none were compared.

    `retries` counts requests that had to be sent again; `fps_measured` waits for each answer.
    """

    port: str
    frames: int
    frames_source: str
    labels: list[int]
    device_cycles: list[int]
    fps_measured: float
    retries: int
    mismatches: int | None
    first_mismatch: int | None


class Stages(BaseModel):
    """Each stage's own result; null where the stage was skipped (the reason stands in `RunResult.skipped`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: TrainResult
    lower: LowerResult
    eval: EvalResult
    check: CheckResult | None
    build: BuildResult
    netlist: NetlistResult | None


class RunResult(Result):
    """What `arbonn run` found: the figures that matter, and every stage's own result beneath.

    `accuracy` is the built integer network's on the test images. `frames`, `bit_mismatches`, `cycle_mismatches` are of the RTL check,
    `ties` of the comparison with the QONNX file. Cycles are as seen in simulation; as predicted where there was none.
    """

    name: str
    accuracy: float
    frames: int
    bit_mismatches: int | None
    cycle_mismatches: int | None
    ties: int
    first_out_cycles: int
    latency_cycles: int
    interval_cycles: float
    luts: int
    ffs: int
    brams: int
    fmax_mhz: float
    fps_core_at_fmax: float
    fps_core_at_clock: float
    fps_link: float
    bitstream: str
    netlist_frames: int
    netlist_mismatches: int | None
    report: str
    good: bool
    skipped: dict[str, str]
    seeds: dict[str, int]
    seconds: dict[str, float]
    total_seconds: float
    stages: Stages
