"""Units that pass their elements on as they are: FIFO, DWC, DuplicateStreams."""

from __future__ import annotations

from arbonn.hw.graph import Node, Ports
from arbonn.hw.units.duplicate_streams import DuplicateStreams
from arbonn.hw.units.dwc import DWC
from arbonn.hw.units.fifo import FIFO
from arbonn.sim.forms.form import Step, form


@form(FIFO, DWC, DuplicateStreams)
def passing(node: Node, ports: Ports) -> Step:
    return lambda inputs: {p: inputs["i"].passed_on(ports[p]) for p in node.gives}
