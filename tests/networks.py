"""Small fixed networks that several tests share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from arbonn.hw.contract import parse_contract
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Endpoint, Node, Stream
from arbonn.hw.units.label_select import LabelSelect
from arbonn.hw.units.lookup import Lookup
from arbonn.hw.units.mvau import MVAU


def small_network() -> DataflowGraph:
    """8 inputs of 3 bits, 4 hidden neurons, 4 classes, folded by 2; logits and label."""
    return mlp((8, 4, 4), "uint3", seed=0, lanes=2)


def mlp(sizes: tuple[int, ...], contract: str, seed: int, lanes: int = 1) -> DataflowGraph:
    """A random binary network `x` -> MVAUs -> table of logits -> `label`, `logits`; every unit works on `lanes` lanes."""
    random = np.random.default_rng(seed)
    terms = parse_contract(contract)
    nodes: list[Node] = []
    streams = [Stream("x", sizes[:1], terms.dtype, lanes)]
    for number, (columns, rows) in enumerate(pairwise(sizes)):
        name, last = f"mvau_{number}", number == len(sizes) - 2
        weights = random.choice([-1, 1], (rows, columns))
        plain = MVAU(name, weights, datatype("BIPOLAR"))
        i = streams[-1]
        low, high = plain.accumulator_range(i.dtype.low, i.dtype.high, i.dtype)
        middle = ((low + high) // 2)[:, None] + random.integers(-1, 2, (rows, 1))
        nodes.append(plain if last else MVAU(name, weights, datatype("BIPOLAR"), thresholds=middle))
        streams[-1] = Stream(i.id, i.shape, i.dtype, i.lanes, i.source, Endpoint(name, "i"))
        dtype = datatype(f"UINT{int(high.max()).bit_length()}" if last else "BIPOLAR")
        streams.append(Stream(f"{name}_o", (rows,), dtype, lanes, Endpoint(name, "o")))
    i = streams[-1]
    table = np.sort(random.integers(-100, 100, (sizes[-1], i.dtype.high + 1)), axis=1)
    nodes += [Lookup("logit_table", table, 0), LabelSelect("select")]
    streams[-1] = Stream(i.id, i.shape, i.dtype, i.lanes, i.source, Endpoint("logit_table", "i"))
    streams += [
        Stream("logit_table_o", i.shape, datatype("INT8"), lanes, Endpoint("logit_table", "o"), Endpoint("select", "i")),
        Stream("label", (1,), datatype(f"UINT{max(1, (sizes[-1] - 1).bit_length())}"), 1, Endpoint("select", "label")),
        Stream("logits", i.shape, datatype("INT8"), lanes, Endpoint("select", "logits")),
    ]
    return DataflowGraph(tuple(nodes), tuple(streams), terms).verify()
