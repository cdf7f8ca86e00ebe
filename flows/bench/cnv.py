"""A network of CNV's size through everything that stands before the simulator: six convolutions, three dense layers, 1.5 M weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from arbonn.flows.bench.qonnx import executed
from arbonn.flows.bench.rows import Row, fastest, timed
from arbonn.flows.fold import Room, fold
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.hw.accelerator import Accelerator
from arbonn.hw.verilog import to_verilog
from arbonn.sim.fast import FastReference
from arbonn.sim.harness import ACCELERATOR
from arbonn.sim.timing import predict

IMAGE = (3, 32, 32)
INTERVAL = 66_236  # cycles a frame: 1500 frames a second at 100 MHz
ROOM = Room("xc7", 10**6, 10**6, 10**4)
GOALS = {"lower": 30.0, "size": 300.0, "verilog": 60.0, "predict": 2.0, "engine": 5e7, "reference": 50.0}
LIMIT_S = 2 * GOALS["size"]  # of the wall clock, on a machine that does something else besides
BATCH = 100
FRAMES = 10  # in a row: of a single one most units wait most of the time, and that is quick to step


def untrained(path: Path) -> None:
    """Writes `cnv` as it is before its first step, but with norms that have seen a batch of noise, from seed 0."""
    import torch

    from arbonn.model import networks
    from arbonn.model.export import export
    from arbonn.model.recipe import METHODS, TrainRecipe
    from arbonn.settings import parse

    sections = {
        "name": "cnv", "data": {"name": "digits"}, "network": {"name": "cnv"}, "method": {"name": "ste"}, "train": {"epochs": 1},
    }  # fmt: skip
    recipe = parse(sections, TrainRecipe, "bench")
    torch.manual_seed(0)
    method = METHODS.get("ste", "bench")(recipe.method)
    network = networks.build(recipe.network, IMAGE, 10, method)
    with torch.no_grad():
        network.train()(torch.rand(64, *IMAGE))
    export(network, path, recipe, "uint8,scale=1/255", IMAGE)


def rows(folder: Path, interval: int = INTERVAL) -> Iterator[Row]:
    """Seconds of each step, then rates; what does not end in time is left out of what follows."""
    model = folder / "cnv.onnx"
    untrained(model)
    row, lowered = timed("CNV: lowering", partial(lower, model, LowerOptions(samples=20)), GOALS["lower"])
    yield row
    assert lowered is not None
    graph = lowered.graph
    what = f"CNV: folding, FIFO sizing, {interval:,} cycles a frame"
    row, found = timed(what, partial(fold, graph, ROOM, interval), GOALS["size"], LIMIT_S)
    yield row
    folded = found.graph if found else graph
    predict(folded, 1)  # compiles, or loads what was compiled
    yield timed("CNV: whole-frame prediction", partial(predict, folded, 1), GOALS["predict"])[0]
    work = predict(folded, FRAMES).cycles * len(folded.nodes)
    rate = fastest(partial(predict, folded, FRAMES), work, time.process_time)
    yield Row(f"timing engine, CNV chain of {len(folded.nodes)} units", rate, "unit-cycles/s", goal=GOALS["engine"])
    yield timed("CNV: Verilog", partial(to_verilog, Accelerator(folded), ACCELERATOR), GOALS["verilog"])[0]
    codes = np.random.default_rng(0).integers(0, 256, (BATCH, *IMAGE)).astype(np.uint8)
    channels_last, prepared = np.ascontiguousarray(np.moveaxis(codes, 1, -1)), FastReference(graph)
    ours = partial(prepared.run, {graph.inputs[0].id: channels_last})
    theirs = executed(model, codes)
    slow, fast = np.array([(fastest(theirs, BATCH), fastest(ours, BATCH)) for _ in range(3)]).T  # in turns: load comes and goes for both
    yield Row(f"CNV: QONNX, {BATCH} images a call", float(np.median(slow)), "images/s")
    ratio = float(np.median(fast / slow))
    what = f"{BATCH} images a call"
    yield Row(f"CNV: fast reference, {what}", float(np.median(fast)), "images/s", ratio, f"QONNX, {what}", GOALS["reference"])
