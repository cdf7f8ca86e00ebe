"""A netlist cut into pipeline stages at whole LUT levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arbonn.hw.cmvm.netlist import ONE, Lut, Netlist


@dataclass(frozen=True, eq=False)
class Stages:
    """`birth[net]`: the stage, from 1, whose logic makes the net (1 for inputs); `levels`: most LUT levels in a stage.

    A net that a later stage k reads is kept in one register for each of the stages birth .. k - 1.
    """

    netlist: Netlist
    depth: int
    birth: tuple[int, ...]
    levels: int

    def registers(self, outputs: Sequence[int]) -> int:
        """Flip-flops between the stages and behind the last, where `outputs` are read."""
        return sum(map(len, self.carried(outputs)))

    def carried(self, outputs: Sequence[int]) -> list[list[int]]:
        """The nets kept in registers behind stage 1, 2, ... depth - 1, each list in rising order; `outputs` are read by the last stage."""
        last: dict[int, int] = {}
        for net, stage in [*self.reads(), *((net, self.depth) for net in outputs)]:
            last[net] = max(last.get(net, 0), stage)
        behind: list[list[int]] = [[] for _ in range(self.depth - 1)]
        for net in sorted(last):
            for stage in range(self.birth[net], last[net] if net > ONE else 0):
                behind[stage - 1].append(net)
        return behind

    def reads(self) -> Iterator[tuple[int, int]]:
        """(net, stage that reads it), of all cells."""
        for cell in self.netlist.cells:
            stage = self.birth[cell.outs[0]]
            yield from ((net, stage) for net in (cell.inputs if isinstance(cell, Lut) else cell.reads))


def cut(netlist: Netlist, depth: int) -> Stages:
    """The cut into at most `depth` stages whose longest has the fewest LUT levels."""
    whole = int(netlist.net_levels().max(initial=0))
    for levels in range(max(1, -(-whole // depth)), max(2, whole) + 1):
        birth = [1] * netlist.nets
        level = [0] * netlist.nets
        for cell in netlist.cells:
            reads = [net for net in (cell.inputs if isinstance(cell, Lut) else cell.reads) if net > ONE]
            stage = max((birth[net] for net in reads), default=1)
            span = 1 if isinstance(cell, Lut) else cell.span
            at = span + max((level[net] for net in reads if birth[net] == stage), default=0)
            if at > levels and any(birth[net] == stage and level[net] for net in reads):
                stage, at = stage + 1, span
            for net in (*cell.outs, *(() if isinstance(cell, Lut) else cell.sides)):
                birth[net], level[net] = stage, at
        if max(birth) <= depth:
            return Stages(netlist, depth, tuple(birth), levels)
    raise AssertionError("one stage holds everything")
