"""Folders of results as the stages leave them, of made-up networks: no training, no synthesis."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from arbonn.flows.explore.found import FOUND, ExploreResult, FoundPoint
from arbonn.flows.explore.front import front_of
from arbonn.flows.frames import labels_of
from arbonn.flows.results import BuildResult, CheckResult, EvalResult, LowerResult, RunResult, SimulatorResult, Stages, TrainResult
from arbonn.hw import graph_file
from arbonn.sim.fast import FastReference
from arbonn.sim.timing import figures, predict
from tests.networks import mlp

FRAMES, WRONG = 40, 7
VERSIONS: dict[str, str | None] = {"numpy": "2.4.6"}


def run_folder(folder: Path, name: str = "made-up", seed: int = 0, epochs: int = 5) -> RunResult:
    """A run of an untrained network; its labels are its own answers, but for WRONG of FRAMES."""
    graph = mlp((64, 16, 4), "uint4", seed, lanes=2)
    graph_file.save(graph, folder)
    codes = np.random.default_rng(seed).integers(0, 16, (FRAMES, 64))
    labels = labels_of(graph, FastReference(graph).run({"x": codes}))
    labels[:WRONG] = (labels[:WRONG] + 1) % 4
    np.save(folder / "test_codes.npy", codes)
    np.save(folder / "test_labels.npy", labels)
    log = ["epoch,loss,val_accuracy,flip_rate,flip_rate/fc0,flip_rate/fc1"]
    log += [f"{k},{2 / k},{1 - 1 / (k + seed + 1)},{0.1 / k},{0.2 / k},0.0" for k in range(1, epochs + 1)]
    (folder / "train").mkdir()
    (folder / "train" / "metrics.csv").write_text("\n".join(log) + "\n")
    (folder / "train" / "stored.json").write_text(json.dumps({"parameters": {"method": {"name": "ste </script><b>"}}}))
    result = _result(folder, name, seed, epochs)
    (folder / "summary.json").write_text(json.dumps(result.as_json()))
    return result


def _result(folder: Path, name: str, seed: int, epochs: int) -> RunResult:
    graph = graph_file.load(folder)
    found = figures(graph, predict(graph, 8))
    cycles = {"first_out_cycles": found.first_out, "latency_cycles": found.latency, "interval_cycles": float(found.interval)}
    rate = round(12e6 / cycles["interval_cycles"], 1)
    train = TrainResult(
        versions=VERSIONS, method="ste", seed=seed, float_accuracy=0.8, val_accuracy=0.75, epochs=epochs, best_epoch=epochs,
        binary_weights=1088, measures={"flip_rate": 0.01},
    )  # fmt: skip
    lower = LowerResult(
        nodes=4, units={"MVAU": 2, "Lookup": 1, "LabelSelect": 1}, input="uint4", input_source="made up", notes=[], weight_bits=1088,
        verified_samples=10, verified_integers=400, samples_source="made up", labels_equal=10, mismatches=0, first_mismatch=None, ties=0,
        tie_list=[], folding={"mvau_0": {"PE": 2, "SIMD": 2}}, bottleneck="mvau_0", fifo_bits=0, luts_estimated=100.0, ffs_estimated=90,
        brams_estimated=2, graph_digest=graph_file.digest(graph), **cycles,
    )  # fmt: skip
    evaluated = EvalResult(accuracy=1 - WRONG / FRAMES, correct=FRAMES - WRONG, frames=FRAMES, images_per_second=1000.0)
    check = CheckResult(
        frames=FRAMES, frames_source="made up", transfers=5000, bit_mismatches=0, cycle_mismatches=0, violations=0,
        stall_patterns=[{"simulator": "verilator", "probability": 0.5, "seed": 0, "cycles": 100}],
        simulators=[
            SimulatorResult(name="verilator", version="5", frames=FRAMES, runs=1, cycles=900, cycles_per_s=1.0, skipped=None)
        ],
        first_difference=None, waves=None, **cycles, **{f"predicted_{key}": value for key, value in cycles.items()},
    )  # fmt: skip
    build = BuildResult(
        board="icebreaker", luts=900 + seed, ffs=400, brams=4, carry=50, used={"ICESTORM_LC": 950}, available={"ICESTORM_LC": 5280},
        fmax_mhz=41.5, clock_mhz=12.0, timing_met=True, fps_core_at_fmax=2.0 * rate, fps_core_at_clock=rate, fps_link=2000.0,
        bitstream="top.bin", bitstream_bytes=104090, bitstream_sha256="0" * 64,
    )  # fmt: skip
    return RunResult(
        name=name, accuracy=evaluated.accuracy, frames=FRAMES, bit_mismatches=0, cycle_mismatches=0, ties=0, luts=build.luts, ffs=build.ffs,
        brams=build.brams, fmax_mhz=build.fmax_mhz, fps_core_at_fmax=build.fps_core_at_fmax, fps_core_at_clock=build.fps_core_at_clock,
        fps_link=build.fps_link, bitstream=str(folder / "top.bin"), netlist_frames=0, netlist_mismatches=None,
        report=str(folder / "report.html"), good=True, skipped={"netlist": "build.netlist_frames is 0"}, seeds={"train": seed},
        seconds={"train": 1.0}, total_seconds=2.0,
        stages=Stages(train=train, lower=lower, eval=evaluated, check=check, build=build, netlist=None),
        **cycles,
    )  # fmt: skip


def search_folder(folder: Path, count: int, seed: int = 0) -> ExploreResult:
    """A search of `count` points: more LUTs give more accuracy, some break the limit on it, some are refused before synthesis."""
    random = np.random.default_rng(seed)
    points = list[FoundPoint]()
    for k in range(count):
        luts = float(random.integers(100, 5000))
        accuracy = float(np.clip(0.4 + luts / 10000 + random.normal(0, 0.06), 0, 1))
        metrics = {"val_accuracy": accuracy, "accuracy": accuracy - 0.01, "luts": luts, "interval_cycles": float(random.integers(64, 4096))}
        refused = "does not fit" if k % 11 == 5 else None
        if refused:
            del metrics["luts"]
        broken = [f"val_accuracy {accuracy:g} is not >= 0.5"] if accuracy < 0.5 else []
        point = {"network.sizes": f"[{k}, 16]", "fold.target_fps": str(200 + k), "method": "ste </script>"}
        points.append(FoundPoint(point=point, metrics=metrics, rung="synth", refused=refused, broken=broken, folder=f"points/{k:012}"))
    good = [p for p in points if not p.refused and not p.broken]
    front = [good[k] for k in front_of([(-p.metrics["val_accuracy"], p.metrics["luts"]) for p in good])]
    result = ExploreResult(
        name="made-up space", trials=count, new=count, stored=0, size=2 * count, objectives={"val_accuracy": "max", "luts": "min"},
        constraints={"val_accuracy": ">= 0.5"}, front=front, hypervolume=123.456, reference={"val_accuracy": 0.1, "luts": 5000.0},
        sampler="tpe", seed=3, seeds=[0, 1], lost=["a point: too large"], points=points, versions=VERSIONS, seconds=1.0, folder=str(folder),
    )  # fmt: skip
    (folder / FOUND).write_text(json.dumps(result.as_json()))
    return result
