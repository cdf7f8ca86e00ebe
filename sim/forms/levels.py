"""Units that give levels, labels or sums of integers: Thresholding, Lookup, LabelSelect, AddStreams."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports, Stream
from arbonn.hw.units.add_streams import AddStreams
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.thresholding import Thresholding
from arbonn.sim import bits
from arbonn.sim.forms.form import Step, form, plain
from arbonn.sim.values import Values, empty_planes


def is_bit(stream: Stream, thresholds: Integers, offset: int) -> bool:
    """Whether a thresholded output is one bit: the comparison itself."""
    return stream.dtype.bits == 1 and thresholds.shape[1] == 1 and offset == 0


def leveled(thresholds: Integers, offset: int, o: Stream) -> Callable[[NDArray[np.integer]], Values]:
    """Levels of integers (rows, channels) on stream o: as planes where they are one bit."""
    limits = np.ascontiguousarray(thresholds[:, 0], np.int64)
    short = np.clip(limits, -(2**15), 2**15 - 1).astype(np.int16)  # for values that lie between these two

    def to_bits(values: NDArray[np.integer]) -> Values:
        made = empty_planes(len(values), o)
        bits.reach_one(values, short if values.dtype.itemsize <= 2 else limits, made)
        return Values(o, planes=made)

    def to_levels(values: NDArray[np.integer]) -> Values:
        made = np.empty(values.shape, np.int64)
        bits.reach_many(values, thresholds, offset, made)
        return Values(o, o.dtype.decode(made) if o.dtype.name == "BIPOLAR" else made)

    return to_bits if is_bit(o, thresholds, offset) else to_levels


@form(Thresholding)
def thresholding(node: Thresholding, ports: Ports) -> Step:
    to_levels = leveled(node.thresholds, node.offset, ports["o"])
    return lambda inputs: {"o": to_levels(inputs["i"].integers())}


@form(Lookup)
def lookup(node: Lookup, ports: Ports) -> Step:
    slow = plain(node, ports)

    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        values = inputs["i"].integers()
        if values.size and not (node.low <= values.min() and values.max() < node.low + node.table.shape[1]):
            return slow(inputs)  # such a graph is wrong, but the compiled loop must not read past the table
        made = np.empty(values.shape, np.int64)
        bits.look_up(values, node.table, node.low, made)
        return {"o": Values(ports["o"], made)}

    return step


@form(LabelSelect)
def label_select(node: LabelSelect, ports: Ports) -> Step:
    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        labels = np.empty(inputs["i"].rows, np.int64)
        bits.first_greatest(inputs["i"].integers(), labels)
        label = {"label": Values(ports["label"], labels[:, None])}
        return label | ({"logits": inputs["i"].passed_on(ports["logits"])} if node.logits else {})

    return step


@form(AddStreams)
def add_streams(node: AddStreams, ports: Ports) -> Step:
    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        first, *others = (inputs[p].integers() for p in node.takes)
        total = first.astype(np.int64)
        for values in others:
            total += values
        return {"o": Values(ports["o"], total)}

    return step
