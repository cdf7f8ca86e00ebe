"""Netlists as Verilog: as primitives of 7-series and UltraScale+ (LUT1..6, LUT6_2, CARRY4, INV), or as plain logic for any other device.

Module ports: `b`, one bit an input; `y`, the outputs in order, the first in the low bits, each as wide as the widest one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from arbonn.hw.cmvm.netlist import ONE, Lut, Netlist, Position
from arbonn.hw.datatypes import Integers, smallest

Name = Callable[[int], str]

# What the primitives compute, for simulators: the vendor's own models come with the vendor's tools.
CELLS = (
    "module INV(output O, input I); assign O = ~I; endmodule\n"
    + "".join(
        f"module LUT{k}(output O, {', '.join(f'input I{i}' for i in range(k))});\n  parameter [{(1 << k) - 1}:0] INIT = 0;\n"
        f"  assign O = INIT[{{{', '.join(f'I{i}' for i in reversed(range(k)))}}}];\nendmodule\n"
        for k in range(1, 7)
    )
    + """module LUT6_2(output O6, output O5, input I0, input I1, input I2, input I3, input I4, input I5);
  parameter [63:0] INIT = 0;
  assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
  assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];
endmodule
module CARRY4(output [3:0] CO, output [3:0] O, input CI, input CYINIT, input [3:0] DI, input [3:0] S);
  wire [4:0] sum = DI + (S ^ DI) + (CI | CYINIT);  // a position with S passes the carry, one without gives DI
  assign O = sum[3:0];
  assign CO = {sum[4], sum[3:1] ^ S[3:1]};
endmodule
"""
)


def with_cells(text: str) -> str:
    """Verilog for a simulator: with the primitives' models where it has any of them."""
    return text + CELLS if re.search(r"^\s*(LUT[1-6]|LUT6_2|CARRY4) ", text, re.MULTILINE) else text


def output_bits(ranges: Integers, one_bit: bool) -> int:
    """Bits of every output: of the narrowest type that holds them all."""
    return 1 if one_bit else smallest(int(ranges[:, 0].min()), int(ranges[:, 1].max())).bits


def output_nets(netlist: Netlist, ranges: Integers, one_bit: bool) -> list[int]:
    """The nets of `y`, lowest bit first: words extended to one width, by their sign where they have one."""
    bits = output_bits(ranges, one_bit)
    nets: list[int] = []
    for (low, _), word in zip(ranges.tolist(), netlist.outputs, strict=True):
        top = word[-1] if low < 0 and word else 0
        nets += [*word, *[top] * bits][:bits]
    return nets


def to_verilog(netlist: Netlist, ranges: Integers, one_bit: bool, name: str, *, primitives: bool) -> str:
    """The module of a layer's netlist."""
    outputs = output_nets(netlist, ranges, one_bit)
    body = list(_primitives(netlist) if primitives else _logic(netlist))
    packed = ", ".join(_name(netlist)(net) for net in reversed(outputs))
    lines = [
        f"module {name}(input [{netlist.inputs - 1}:0] b, output [{len(outputs) - 1}:0] y);",
        *(f"  wire n{net};" for net in range(netlist.inputs + 2, netlist.nets)),  # one vector of them would be slow in Icarus
        *(f"  {line}" for line in body),
        f"  assign y = {{{packed}}};",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _name(netlist: Netlist) -> Name:
    def name(net: int) -> str:
        if net <= ONE:
            return f"1'b{net}"
        return f"b[{net - 2}]" if net < netlist.inputs + 2 else f"n{net}"

    return name


def _joined(nets: Sequence[str]) -> str:
    return f"{{{', '.join(reversed(nets))}}}"


def _logic(netlist: Netlist) -> Iterator[str]:
    """Tables as constants that are looked up, chains as sums of two addends."""
    name = _name(netlist)

    def table(value: int, inputs: Sequence[int]) -> str:
        if not inputs:
            return f"1'b{value & 1}"
        if len(inputs) == 1:
            return {0b10: name(inputs[0]), 0b01: f"~{name(inputs[0])}"}[value]
        size = 1 << len(inputs)
        return f"{size}'h{value:x} >> {_joined([name(net) for net in inputs])}"

    for number, cell in enumerate(netlist.cells):
        if isinstance(cell, Lut):
            yield from (f"assign {name(out)} = {table(value, cell.inputs)};" for value, out in zip(cell.tables, cell.outs, strict=True))
            continue
        width = len(cell.positions)
        yield f"wire [{width - 1}:0] s{number}, d{number};"
        for k, p in enumerate(cell.positions):
            yield f"assign s{number}[{k}] = {table(p.table, p.inputs)};"
            if p.second is not None:
                yield f"assign {f'd{number}[{k}]' if p.side is None else name(p.side)} = {table(p.second, p.inputs)};"
            if p.second is None or p.side is not None:
                yield f"assign d{number}[{k}] = {name(p.di)};"
        sums = _joined([name(net) for net in cell.outs])
        yield f"assign {sums} = d{number} + (s{number} ^ d{number}) + {name(cell.cin)};"


def _primitives(netlist: Netlist) -> Iterator[str]:
    name = _name(netlist)
    for number, cell in enumerate(netlist.cells):
        if isinstance(cell, Lut):
            yield _lut(f"l{number}", [name(net) for net in cell.inputs], cell.tables, [name(net) for net in cell.outs])
            continue
        carry = name(cell.cin)
        for first in range(0, len(cell.positions), 4):
            part, at = cell.positions[first : first + 4], f"c{number}_{first}"
            yield f"wire [3:0] {at}_s, {at}_d, {at}_o, {at}_c;"
            for k in range(4):
                yield from _position(part[k] if k < len(part) else None, f"{at}_s[{k}]", f"{at}_d[{k}]", f"{at}_{k}", name)
            pins = f".CI({carry}), .CYINIT(1'b0)" if first else f".CI(1'b0), .CYINIT({carry})"
            yield f"CARRY4 {at}({pins}, .DI({at}_d), .S({at}_s), .O({at}_o), .CO({at}_c));"
            yield from (f"assign {name(out)} = {at}_o[{k}];" for k, out in enumerate(cell.outs[first : first + 4]))
            carry = f"{at}_c[3]"


def _position(position: Position | None, s: str, d: str, instance: str, name: Name) -> Iterator[str]:
    if position is None:
        yield f"assign {s} = 1'b0;"
        yield f"assign {d} = 1'b0;"
        return
    inputs = [name(net) for net in position.inputs]
    if position.second is not None and position.side is None:
        yield _lut(instance, inputs, (position.table, position.second), [s, d])
        return
    yield f"assign {d} = {name(position.di)};"
    if position.through:
        yield f"assign {s} = {inputs[0] if inputs else position.table & 1};"
    elif position.second is not None and position.side is not None:
        yield _lut(instance, inputs, (position.table, position.second), [s, name(position.side)])
    else:
        yield _lut(instance, inputs, (position.table,), [s])


def _lut(instance: str, inputs: Sequence[str], tables: Sequence[int], outs: Sequence[str]) -> str:
    count, size = len(inputs), 1 << len(inputs)
    if len(tables) == 1:
        if count == 1 and outs[0][0] == "n":  # a position's own complement stays a LUT
            return f"INV {instance}(.I({inputs[0]}), .O({outs[0]}));"
        pins = ", ".join(f".I{k}({net})" for k, net in enumerate(inputs))
        return f"LUT{count} #(.INIT({size}'h{tables[0]:0{max(1, size // 4)}x})) {instance}({pins}, .O({outs[0]}));"
    upper, lower = (sum((table >> (k % size) & 1) << k for k in range(32)) for table in tables)  # whatever the unused inputs are
    pins = ", ".join(f".I{k}({inputs[k] if k < count else 0})" for k in range(5))
    pins = pins.replace("(0)", "(1'b0)")
    return f"LUT6_2 #(.INIT(64'h{upper:08x}{lower:08x})) {instance}({pins}, .I5(1'b1), .O6({outs[0]}), .O5({outs[1]}));"
