"""FuseSoC core files, as FuseSoC 2.4.7 was seen to read and to run them."""

from __future__ import annotations

import re
from pathlib import Path

from arbonn.flows.export import export
from arbonn.flows.packaging.fusesoc import core
from tests.tiny import tiny_graph, tiny_images

WHOLE = """CAPI=2:
name: arbonn:user:top:1.2
description: binary neural network, graph 0123456789abcdef
filesets:
  rtl:
    files:
      - top.v
    file_type: verilogSource
  bench:
    files:
      - bench.sv: {file_type: systemVerilogSource}
      - x.hex: {file_type: user, copyto: x.hex}
targets:
  default:
    filesets: [rtl]
    toplevel: top
  sim:
    default_tool: icarus
    filesets: [rtl, bench]
    toplevel: bench
    tools:
      icarus:
        iverilog_options: [-g2012]
"""


def test_a_core_file_with_and_without_a_bench() -> None:
    digest = "0123456789abcdef0123"
    assert core("top", "1.2", digest, ["top.v"], "bench.sv", ["x.hex"]) == WHOLE
    plain = re.sub(r"  bench:.*(?=targets:)|  sim:.*", "", WHOLE, flags=re.DOTALL)
    assert core("top", "1.2", digest, ["top.v"]) == plain


def test_an_export_lists_all_that_its_simulation_needs(tmp_path: Path) -> None:
    graph = tiny_graph(elements=8, classes=2)
    names = export(graph, tiny_images(graph, 2), tmp_path)
    listed = re.findall(r"^      - ([\w.]+)", (tmp_path / "arbonn.core").read_text(), re.MULTILINE)
    assert sorted([*listed, "README.txt", "arbonn.core"]) == names == sorted(path.name for path in tmp_path.iterdir())
