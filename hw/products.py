"""Products of inputs and weights and their sums, for units with weights: what they are built of, and what they take."""

from __future__ import annotations

from functools import cache

from amaranth.hdl import Const, Module, Mux, Signal, Value

from arbonn.hw.cmvm.stages import cut
from arbonn.hw.cost.cost import Parts
from arbonn.hw.cost.operators import Registers, operators
from arbonn.hw.datatypes import DataType
from arbonn.hw.popcount import PLAIN, Pipeline, height, weighted_popcount
from arbonn.hw.xnor_popcount import xnor_popcount

# Up to so many lanes of at least so many bits, adders of lanes take less than counts of bit planes: hw/lut_table.py.
# Four lanes of 8 bits: fewer LUTs on iCE40 and ECP5, more on Gowin and 7-series.
FEW_LANES, MANY_BITS = 4, 3

Registered = tuple[Module, Value, int]  # where registers go, when they move, how many stand between products and sum


def products(
    lanes: list[tuple[Value, Value]],
    dtype: DataType,
    weight_dtype: DataType,
    domain: str,
    registered: Registered | None = None,
    lut_inputs: int = 4,
) -> Value:
    """What pairs of stored (input, weight) add to an accumulator of `domain`; counts of bits as `popcount` writes them for such LUTs."""
    if domain == "dot":
        return tree_sum([number(a, dtype) * number(w, weight_dtype) for a, w in lanes], registered)
    return lane_sum(lanes, dtype, registered) if by_lanes(len(lanes), dtype) else plane_sum(lanes, dtype, registered, lut_inputs)


def by_lanes(lanes: int, dtype: DataType) -> bool:
    """Whether counts in the domain "popcount" are written as adders of lanes."""
    return lanes <= FEW_LANES and dtype.bits >= MANY_BITS


@cache
def product_parts(
    lanes: int,
    dtype: DataType,
    weight_dtype: DataType,
    domain: str,
    *,
    stages: int = 0,
    fixed: bool = False,
    primitives: bool = False,
    lut_inputs: int = 4,
) -> tuple[Parts, int]:
    """Parts of the sum of so many lanes' products with `stages` registers in it, and its width in bits.

    fixed  by constant weights, which take no gates to multiply with.    primitives, lut_inputs  as an MVAU's.
    """
    if primitives:
        netlists = [xnor_popcount(lanes, xor=dtype.signed and j == dtype.bits - 1) for j in range(dtype.bits)]
        sums = [Signal(len(netlist.outputs[0])) << j for j, netlist in enumerate(netlists)]
        value = tree_sum(sums)
        kept = sum(cut(netlist, 1 + stages).registers(list(netlist.outputs[0])) for netlist in netlists)
        cells = float(sum(netlist.counts().luts for netlist in netlists))
        return Parts({"LUT cell": cells, **operators(value)}, kept), len(value)
    held = Registers()
    pairs = [(Signal(dtype.bits), Signal(weight_dtype.bits)) for _ in range(lanes)]
    value = products(pairs, dtype, weight_dtype, domain, (held, Const(1), stages), lut_inputs)
    found: dict[str, float] = dict(operators(value, held))
    if fixed and domain == "popcount":
        found["exclusive or"] -= lanes * dtype.bits
    if fixed and "product" in found:
        found["fixed product"] = found.pop("product")
    return Parts({name: amount for name, amount in found.items() if amount}, held.flip_flops), len(value)


def plane_sum(
    lanes: list[tuple[Value, Value]], dtype: DataType, registered: Registered | None = None, lut_inputs: int = 4
) -> Value:  # fmt: skip
    """sum_j 2^j popcount(XNOR(x_j, w)), plane by plane."""
    flip = dtype.signed  # offset binary: x + 2^(k-1) has the top bit inverted
    planes = [[~(a[j] ^ w) ^ (flip and j == dtype.bits - 1) for a, w in lanes] for j in range(dtype.bits)]
    pipeline = Pipeline(*registered, height(dtype.bits, len(lanes), lut_inputs)) if registered else PLAIN
    return weighted_popcount(planes, pipeline, lut_inputs)


def lane_sum(lanes: list[tuple[Value, Value]], dtype: DataType, registered: Registered | None = None) -> Value:
    """The same, lane by lane: XNOR(x, w) of all bits of a lane is one unsigned number."""
    top = (1 << dtype.bits - 1) if dtype.signed else 0
    return tree_sum([~(a ^ w.replicate(dtype.bits)) ^ top for a, w in lanes], registered)


def tree_sum(terms: list[Value], registered: Registered | None = None) -> Value:
    """Sum by halves: no deep chain of growing adders."""
    depth = (len(terms) - 1).bit_length()
    pipeline = Pipeline(*registered, depth) if registered else PLAIN
    terms = [pipeline.below(term, depth) for term in terms]
    while len(terms) > 1:
        depth -= 1
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + ([terms[-1]] if len(terms) % 2 else [])
        terms = [pipeline.after(term, depth) for term in terms]
    return terms[0]


def number(code: Value, dtype: DataType) -> Value:
    """Stored bits of an element as the number they mean."""
    if dtype.name == "BIPOLAR":
        return Mux(code, 1, -1)
    return code.as_signed() if dtype.signed else code.as_unsigned()
