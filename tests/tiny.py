"""A network so small that building and simulating its device takes seconds."""

from __future__ import annotations

import numpy as np

from arbonn.hw.contract import InputContract
from arbonn.hw.datatypes import Integers, datatype, smallest
from arbonn.hw.graph import DataflowGraph, Endpoint, Stream
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.mvau import MVAU


def tiny_graph(elements: int = 128, classes: int = 16, seed: int = 1) -> DataflowGraph:
    """UINT4 inputs (in pairs), bipolar weights, logits, a label: two units, and weights in block RAM from the default size on."""
    random = np.random.default_rng(seed)
    dtype = datatype("UINT4")
    node = MVAU("fc", random.choice([-1, 1], (classes, elements)), datatype("BIPOLAR"), domain="dot")
    streams = (
        Stream("x", (elements,), dtype, 2, sink=Endpoint("fc", "i")),
        Stream("acc", (classes,), smallest(-15 * elements, 15 * elements), 1, Endpoint("fc", "o"), Endpoint("top1", "i")),
        Stream("label", (1,), smallest(0, classes - 1), 1, source=Endpoint("top1", "label")),
        Stream("logits", (classes,), smallest(-15 * elements, 15 * elements), 1, source=Endpoint("top1", "logits")),
    )
    return DataflowGraph((node, LabelSelect("top1")), streams, InputContract(dtype)).verify()


def tiny_images(graph: DataflowGraph, frames: int, seed: int = 2) -> Integers:
    return np.random.default_rng(seed).integers(0, 16, (frames, *graph.inputs[0].shape))
