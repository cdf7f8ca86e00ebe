"""FuseSoC core files (CAPI2): the Verilog for a build system that others use, and its testbench as a simulation."""

from __future__ import annotations

from collections.abc import Sequence

from arbonn.flows.packaging.ipxact import LIBRARY, VENDOR


def core(top: str, version: str, digest: str, files: Sequence[str], bench: str = "", vectors: Sequence[str] = ()) -> str:
    """The text of `<top>.core`, whose name is arbonn:user:<top>:<version>; `digest` is of the graph, told in the description.

    files   Verilog of the target `default`.
    bench   a SystemVerilog testbench, a module of its file's name, and the `vectors` that it reads: the target `sim`, on Icarus.
    """
    lines = ["CAPI=2:", f"name: {VENDOR}:{LIBRARY}:{top}:{version}", f"description: binary neural network, graph {digest[:16]}"]
    lines += ["filesets:", "  rtl:", "    files:", *(f"      - {name}" for name in files), "    file_type: verilogSource"]
    targets = ["targets:", "  default:", "    filesets: [rtl]", f"    toplevel: {top}"]
    if bench:
        lines += ["  bench:", "    files:", f"      - {bench}: {{file_type: systemVerilogSource}}"]
        lines += [f"      - {name}: {{file_type: user, copyto: {name}}}" for name in vectors]
        targets += ["  sim:", "    default_tool: icarus", "    filesets: [rtl, bench]", f"    toplevel: {bench.partition('.')[0]}"]
        targets += ["    tools:", "      icarus:", "        iverilog_options: [-g2012]"]
    return "\n".join([*lines, *targets]) + "\n"
