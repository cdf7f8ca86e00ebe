"""Units that reduce windows channel by channel: MaxPool, AccPool, VVAU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import Ports
from arbonn.hw.units.acc_pool import AccPool
from arbonn.hw.units.max_pool import MaxPool
from arbonn.hw.units.vvau import VVAU
from arbonn.hw.units.window import Windowed
from arbonn.sim import moves
from arbonn.sim.forms.form import Step, form
from arbonn.sim.forms.levels import leveled
from arbonn.sim.values import Values, empty_planes


@form(MaxPool)
def max_pool(node: MaxPool, ports: Ports) -> Step:
    i, o, group = ports["i"], ports["o"], node.group_of(ports)
    one_bit = i.dtype.bits == 1 and not i.dtype.signed and i.shape[-1] == node.taps * o.shape[-1]
    slow = reduced(node, ports, moves.greatest_tap)

    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        given = inputs["i"]
        if not (one_bit and given.packed):
            return {"o": Values(o, slow(given))}
        made = empty_planes(given.rows, o)
        moves.any_tap(given.planes(), node.taps, group, o.shape[-1], made)
        return {"o": Values(o, planes=made)}

    return step


@form(AccPool)
def acc_pool(node: AccPool, ports: Ports) -> Step:
    sums = weighed(node, ports, np.ones((ports["o"].shape[-1], node.taps), np.int64))
    return lambda inputs: {"o": Values(ports["o"], sums(inputs["i"]))}


@form(VVAU)
def vvau(node: VVAU, ports: Ports) -> Step:
    i, o = ports["i"], ports["o"]
    sums = weighed(node, ports, node.weights)
    if node.thresholds is None:
        return lambda inputs: {"o": Values(o, node.rows.from_dot(sums(inputs["i"]), i.dtype))}
    thresholds = np.stack([node.rows.to_dot(column, i.dtype) for column in node.thresholds.T], axis=1)
    to_levels = leveled(thresholds, node.offset, o)
    return lambda inputs: {"o": to_levels(sums(inputs["i"]))}


def weighed(node: Windowed, ports: Ports, weights: Integers) -> Callable[[Values], Integers]:
    """Sums of taps times weights (C, taps)."""
    group = node.group_of(ports)
    by_tap = np.ascontiguousarray(weights.reshape(-1, group, weights.shape[1]).swapaxes(1, 2).astype(np.int64))
    return reduced(node, ports, lambda taps, made: moves.weigh_taps(taps, by_tap, made))


def reduced(node: Windowed, ports: Ports, loop: Callable[[NDArray[np.integer], Integers], None]) -> Callable[[Values], Integers]:
    """`loop` over (windows, C / group, taps, group), as rows of channels."""
    groups, taps, group = ports["o"].shape[-1] // node.group_of(ports), node.window[0], node.group_of(ports)

    def values(given: Values) -> Integers:
        windows = given.integers().reshape(-1, groups, taps, group)
        made = np.empty((len(windows), groups, group), np.int64)
        loop(windows, made)
        return made.reshape(len(windows), -1)

    return values
