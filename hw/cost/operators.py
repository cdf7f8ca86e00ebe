"""Parts of a combinational value, counted on Amaranth's own expression: no formula beside the hardware that could go astray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.hdl import Value
from amaranth.hdl._ast import Assign, Concat, Operator, Part, Slice, SwitchValue

# A full adder has as many exclusive ors as carries: its ands and ors are not counted beside them.
KINDS = {"^": "exclusive or", "+": "adder", "-": "adder"}
COMPARED = {"<", ">", "<=", ">=", "==", "!="}


class Registers:
    """Stands for a Module where only registers are made: it keeps what each of them takes."""

    def __init__(self) -> None:
        self.taken: dict[int, Value] = {}
        self.flip_flops = 0
        self.d = self
        self.sync = self

    @contextmanager
    def If(self, condition: Value) -> Iterator[None]:  # noqa: N802  # Module's name
        yield

    def __iadd__(self, assign: Assign) -> Registers:
        self.taken[id(assign.lhs)] = assign.rhs
        self.flip_flops += len(assign.lhs)
        return self


def operators(value: Value, registers: Registers | None = None) -> dict[str, int]:
    """Bits of adders, gates, comparators and multiplexers between signals and `value`, through `registers`; products as bits times bits."""
    found, seen, waiting = Counter[str](), set[int](), [value]
    behind = registers.taken if registers else {}
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Operator):
            sizes = [len(operand) for operand in each.operands]
            if each.operator == "*":
                found["product"] += sizes[0] * sizes[1]
            elif each.operator in KINDS and len(sizes) == 2:
                found[KINDS[each.operator]] += max(sizes)
            elif each.operator in COMPARED:
                found["comparator"] += max(sizes)
            waiting += each.operands
        elif isinstance(each, SwitchValue):
            found["multiplexer"] += len(each) * (len(each.cases) - 1)
            waiting += [each.test, *(case for _, case in each.cases)]
        elif isinstance(each, Concat):
            waiting += each.parts
        elif isinstance(each, Slice | Part):
            waiting.append(each.value)
        elif id(each) in behind:
            waiting.append(behind[id(each)])
    return dict(found)
