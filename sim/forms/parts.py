"""Units that put channels elsewhere: Concat, Split, Shuffle. Of bit planes, bits are moved."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import numpy as np

from arbonn.hw.graph import Ports
from arbonn.hw.units.concat import Concat
from arbonn.hw.units.shuffle import Shuffle
from arbonn.hw.units.split import Split
from arbonn.sim import moves
from arbonn.sim.forms.form import Step, form
from arbonn.sim.values import Values, empty_planes


@form(Concat)
def concat(node: Concat, ports: Ports) -> Step:
    starts = [0, *accumulate(ports[p].shape[-1] for p in node.takes)]

    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        given = [inputs[p] for p in node.takes]
        if not all(values.packed for values in given):
            return {"o": Values(ports["o"], np.concatenate([values.integers() for values in given], axis=1))}
        made = empty_planes(given[0].rows, ports["o"])
        made[:] = 0
        for values, start in zip(given, starts, strict=False):
            moves.move_bits(values.planes(), 0, values.channels, start, made)
        return {"o": Values(ports["o"], planes=made)}

    return step


@form(Split)
def split(node: Split, ports: Ports) -> Step:
    starts = dict(zip(node.gives, [0, *accumulate(ports[p].shape[-1] for p in node.gives)], strict=False))

    def part(given: Values, port: str) -> Values:
        stream, start = ports[port], starts[port]
        if not given.packed:
            return Values(stream, np.ascontiguousarray(given.integers()[:, start : start + stream.shape[-1]]))
        made = empty_planes(given.rows, stream)
        made[:] = 0
        moves.move_bits(given.planes(), start, stream.shape[-1], 0, made)
        return Values(stream, planes=made)

    return lambda inputs: {p: part(inputs["i"], p) for p in node.gives}


@form(Shuffle)
def shuffle(node: Shuffle, ports: Ports) -> Step:
    def step(inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        given, o = inputs["i"], ports["o"]
        if not given.packed:
            return {"o": Values(o, np.ascontiguousarray(given.integers()[:, node.order]))}
        made = empty_planes(given.rows, o)
        made[:] = 0
        moves.order_bits(given.planes(), node.order.astype(np.int64), made)
        return {"o": Values(o, planes=made)}

    return step
