"""IP-XACT (IEEE 1685-2009): the accelerator in its AXI shell as a packaged component, with its buses, its registers and its files.

Elements stand in the order of the standard's schema, which is part of being valid. Bus definitions are AMD's, whose IP catalog reads this.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from arbonn.hw.shells.axi_map import TOP, MemoryMap, Register

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
VENDOR, LIBRARY = "arbonn", "user"
LITE = tuple(f"{channel}{signal}" for channel, signals in (
    ("AW", ("ADDR", "PROT", "VALID", "READY")), ("W", ("DATA", "STRB", "VALID", "READY")), ("B", ("RESP", "VALID", "READY")),
    ("AR", ("ADDR", "PROT", "VALID", "READY")), ("R", ("DATA", "RESP", "VALID", "READY")),
) for signal in signals)  # fmt: skip
STREAM = ("TDATA", "TLAST", "TVALID", "TREADY")


def ports_of(verilog: str, module: str = TOP) -> dict[str, tuple[str, int]]:
    """Direction and width of each port of a module in Amaranth's Verilog."""
    body = re.search(rf"^module {module}\b.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    assert body is not None, f"no module {module}"
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body[0], re.MULTILINE)
    return {name: ("in" if direction == "input" else "out", int(high or 0) + 1) for direction, high, name in found}


class _Writer:
    """Appends elements of the standard's namespace."""

    def __init__(self, element: ET.Element) -> None:
        self.element = element

    def add(self, tag: str, text: object = None, **attributes: str) -> _Writer:
        child = ET.SubElement(self.element, f"{{{SPIRIT}}}{tag}", {f"{{{SPIRIT}}}{key}": value for key, value in attributes.items()})
        child.text = None if text is None else str(text)
        return _Writer(child)

    def bus(self, name: str, kind: str, library: str, side: str, wires: Mapping[str, str], parameters: Mapping[str, str]) -> None:
        """A bus interface; `wires` names the port behind each logical signal."""
        bus = self.add("busInterface")
        bus.add("name", name)
        bus.add("busType", vendor="xilinx.com", library=library, name=kind, version="1.0")
        bus.add("abstractionType", vendor="xilinx.com", library=library, name=f"{kind}_rtl", version="1.0")
        end = bus.add(side)
        if kind == "aximm":
            end.add("memoryMapRef", memoryMapRef=name)
        maps = bus.add("portMaps")
        for logical, physical in wires.items():
            one = maps.add("portMap")
            one.add("logicalPort").add("name", logical)
            one.add("physicalPort").add("name", physical)
        if parameters:
            given = bus.add("parameters")
            for key, value in parameters.items():
                one = given.add("parameter")
                one.add("name", key)
                one.add("value", value)


def component_xml(memory: MemoryMap, ports: Mapping[str, tuple[str, int]], files: Sequence[str], version: str) -> str:
    """The text of component.xml. `ports` as `ports_of` gives them; `files` beside it."""
    ET.register_namespace("spirit", SPIRIT)
    root = _Writer(ET.Element(f"{{{SPIRIT}}}component"))
    for name, text in (("vendor", VENDOR), ("library", LIBRARY), ("name", TOP), ("version", version)):
        root.add(name, text)
    streams = [(end.port, "slave") for end in memory.inputs] + [(end.port, "master") for end in memory.outputs]
    buses = root.add("busInterfaces")
    for name, side in streams:
        buses.bus(name, "axis", "interface", side, {wire: f"{name}_{wire.lower()}" for wire in STREAM}, {})
    buses.bus("s_axi", "aximm", "interface", "slave", {wire: f"s_axi_{wire.lower()}" for wire in LITE}, {})
    together = ":".join(["s_axi", *(name for name, _ in streams)])
    clock = {"ASSOCIATED_BUSIF": together, "ASSOCIATED_RESET": "aresetn"}
    buses.bus("aclk", "clock", "signal", "slave", {"CLK": "aclk"}, clock)
    buses.bus("aresetn", "reset", "signal", "slave", {"RST": "aresetn"}, {"POLARITY": "ACTIVE_LOW"})
    buses.bus("interrupt", "interrupt", "signal", "master", {"INTERRUPT": "interrupt"}, {"SENSITIVITY": "LEVEL_HIGH"})

    space = root.add("memoryMaps").add("memoryMap")
    space.add("name", "s_axi")
    block = space.add("addressBlock")
    sizes = {"baseAddress": 0, "range": 1 << memory.address_bits, "width": 32}
    block.add("name", "registers")
    for key, size in sizes.items():
        block.add(key, size)
    block.add("usage", "register")
    for register in Register:
        one = block.add("register")
        one.add("name", register.name)
        one.add("addressOffset", hex(register))
        one.add("size", 32)

    model = root.add("model")
    view = model.add("views").add("view")
    for name, text in (("name", "verilog"), ("envIdentifier", ":vivado.xilinx.com:"), ("language", "verilog"), ("modelName", TOP)):
        view.add(name, text)
    view.add("fileSetRef").add("localName", "sources")
    listed = model.add("ports")
    for name, (direction, width) in ports.items():
        port = listed.add("port")
        port.add("name", name)
        wire = port.add("wire")
        wire.add("direction", direction)
        if width > 1:
            vector = wire.add("vector")
            vector.add("left", width - 1)
            vector.add("right", 0)
    group = root.add("fileSets").add("fileSet")
    group.add("name", "sources")
    for name in files:
        file = group.add("file")
        file.add("name", name)
        file.add("fileType", "verilogSource")
    root.add("description", f"binary neural network, graph {memory.graph_digest[:16]}")
    ET.indent(root.element)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root.element, encoding="unicode") + "\n"
