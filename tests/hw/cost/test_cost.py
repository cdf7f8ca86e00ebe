"""What units cost: sums, growth with their lanes, families that are known, and units that price themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbonn.errors import GraphError
from arbonn.flows.fold import total_cost
from arbonn.hw.cost.cost import ALIKE, FAMILIES, NOTHING, PARTS, Cost, Parts, amounts, coefficients, priced
from arbonn.hw.datatypes import datatype
from arbonn.hw.graph import DataflowGraph, Ports, Stream
from arbonn.hw.units.fifo import FIFO
from arbonn.hw.units.mvau import MVAU
from tests.strategies import chains, seeds, values
from tests.strategies_images import UNITS

families = st.sampled_from((*FAMILIES, *ALIKE))


@settings(max_examples=30, deadline=None)
@given(graph=st.one_of(chains(), *UNITS.values()), target=families)
def test_a_graph_costs_the_sum_of_its_units_and_all_of_them_are_calibrated(graph: DataflowGraph, target: str) -> None:
    costs = [node.cost(graph.ports(node), target) for node in graph.nodes]
    total = total_cost(graph, target)
    assert total.luts == pytest.approx(sum(cost.luts for cost in costs))
    assert (total.ffs, total.brams) == (sum(cost.ffs for cost in costs), sum(cost.brams for cost in costs))
    assert total.calibrated
    assert all(cost.luts >= 0 and cost.ffs >= 0 and cost.brams >= 0 for cost in costs)


@settings(max_examples=25, deadline=None)
@given(
    seed=seeds, target=families, name=st.sampled_from(["BIPOLAR", "UINT2", "UINT8"]), pe=st.sampled_from([1, 2, 4, 8]),
    simd=st.sampled_from([2, 4, 8, 16, 32]),
)  # fmt: skip
def test_more_lanes_cost_more_logic(seed: int, target: str, name: str, pe: int, simd: int) -> None:
    import numpy as np

    random = np.random.default_rng(seed)
    weights = values(random, datatype("BIPOLAR"), (1024, 128))  # so deep that all tables are in block RAM, whatever the lanes
    node = MVAU("u", weights, datatype("BIPOLAR"))

    def parts(pe: int, simd: int) -> Parts:
        ports = {"i": Stream("i", (128,), datatype(name), simd), "o": Stream("o", (1024,), datatype("UINT16"), pe)}
        found = node.parts(ports, target)
        tables = node.tables_parts(ports, target)
        logic = {part: amount - tables.amounts.get(part, 0) for part, amount in found.amounts.items()}
        return Parts({part: logic[part] for part in ("adder", "exclusive or", "accumulator") if part in logic})

    few, more, wide = (priced(parts(*lanes), target).luts for lanes in ((pe, simd), (2 * pe, simd), (pe, 2 * simd)))
    assert few <= more
    assert few <= wide


def test_an_unknown_family_is_refused() -> None:
    stream = Stream("s", (8,), datatype("BIPOLAR"), 1)
    with pytest.raises(GraphError) as caught:
        FIFO("f", 4).cost({"i": stream, "o": stream}, "max10")
    assert str(caught.value) == ("GraphError: family 'max10': no cost model for it\n  allowed  ice40, ecp5, gowin, xc7, xcup")


def test_a_part_that_was_never_measured_is_refused() -> None:
    with pytest.raises(GraphError) as caught:
        priced(amounts(0, flux_capacitor=1), "ice40")
    assert caught.value.where == "part 'flux capacitor'"
    assert caught.value.found == "it has never been measured"


@dataclass(frozen=True, eq=False)
class _Priced(FIFO):
    """A unit that gives its own cost."""

    def cost(self, ports: Ports, target: str) -> Cost:
        return Cost(7, 5, 0, 0, "counted by hand")


def test_a_unit_that_prices_itself_is_marked_and_marks_the_sum() -> None:
    stream = Stream("s", (8,), datatype("BIPOLAR"), 1)
    own = _Priced("f", 4).cost({"i": stream, "o": stream}, "ice40")
    fitted = FIFO("f", 4).cost({"i": stream, "o": stream}, "ice40")
    assert not own.calibrated
    assert fitted.calibrated
    assert (own + fitted).source == (fitted + own).source == "counted by hand"
    assert (NOTHING + fitted).calibrated


def test_parts_add_and_multiply() -> None:
    one, other = Parts({"adder": 3.0}, 1, 2, 3), Parts({"adder": 1.0, "index": 2.0}, 4, 5, 6)
    assert one + other == Parts({"adder": 4.0, "index": 2.0}, 5, 7, 9)
    assert one * 3 == Parts({"adder": 9.0}, 3, 6, 9)


def test_every_family_prices_the_same_parts() -> None:
    assert set(coefficients()) == set(FAMILIES)
    assert {frozenset(known) for known in coefficients().values()} == {frozenset(PARTS)}
    assert all(value >= 0 for known in coefficients().values() for value in known.values())


@pytest.mark.parametrize("target", FAMILIES)
def test_shallow_fifos_are_registers_and_deep_ones_block_ram(target: str) -> None:
    stream = Stream("s", (8,), datatype("UINT8"), 1)
    costs = [FIFO("f", depth).cost({"i": stream, "o": stream}, target) for depth in (1, 2, 4096, 8192)]
    assert [cost.ffs for cost in costs[:2]] == [1 + 8, 2 + 16]
    assert [cost.brams > 0 for cost in costs] == [False, False, True, True]
    assert costs[2].memory_bits == 4096 * 8
    assert costs[2].brams < costs[3].brams
