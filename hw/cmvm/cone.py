"""The part of a netlist that some of its outputs need."""

from __future__ import annotations

from collections.abc import Sequence

from arbonn.hw.cmvm.netlist import Chain, Lut, Netlist


def cone(netlist: Netlist, outputs: Sequence[int]) -> Netlist:
    """What synthesis leaves of a netlist when only the words at the places `outputs` are read; the nets keep their numbers."""
    words = [netlist.outputs[k] for k in outputs]
    needed, cells = {net for word in words for net in word}, list[Lut | Chain]()
    for cell in reversed(netlist.cells):
        if not needed.isdisjoint((*cell.outs, *(() if isinstance(cell, Lut) else cell.sides))):
            cells.append(cell)
            needed.update(cell.inputs if isinstance(cell, Lut) else cell.reads)
    found = Netlist(netlist.inputs, cells[::-1], words)
    found.nets = netlist.nets
    return found
