"""Our simulation models of the block RAMs of which yosys has only empty boxes: Lattice's DP16KD; Gowin's SP, DPB, SDPB and their X9 forms.

They follow Lattice TN-02204 and Gowin UG285: 2,048 bytes of nine bits behind two ports. Where one port reads bits that the other writes in
the same cycle the devices promise nothing: there a model gives X, so that a design which counts on either value is found out. Output
registers are not modelled, since yosys makes none: a cell that asks for one ends the simulation.
"""

from __future__ import annotations

RAM = "arbonn_ram"
BYTES = 2048

# One port: reading, and writing of the bytes that `be` enables. Mode 0: the output holds on a write; 1: it shows what is written;
# 2: what was there. `blocked`: a reset keeps a write out.
PORT = """
  wire [3:0] shift_{p} = WIDTH_{P} == 36 ? 5 : WIDTH_{P} == 18 ? 4 : WIDTH_{P} == 9 ? 3 : WIDTH_{P} == 4 ? 2 : WIDTH_{P} == 2 ? 1 : 0;
  wire write_{p} = ce_{p} && we_{p} && !(BLOCKED && rst_{p}) && (WIDTH_{P} == 36 ? |be_{p} : WIDTH_{P} == 18 ? |be_{p}[1:0] : 1'b1);
  wire read_{p} = ce_{p} && !(we_{p} && MODE_{P} == 0);
  always @(posedge clk_{p}) begin
    if (rst_{p}) do_{p} <= 0;
    else if (read_{p}) begin
      if (write_{q} && ad_{p} >> wider == ad_{q} >> wider) do_{p} <= 36'bx;
      else if (we_{p} && MODE_{P} == 1) do_{p} <= di_{p};
      else do_{p} <= row(ad_{p}, WIDTH_{P});
    end
    if (write_{p}) store(ad_{p}, WIDTH_{P}, be_{p}, di_{p});
  end
  always @(posedge rst_{p}) if (ASYNC) do_{p} <= 0;
"""
CORE = (
    f"""
module {RAM} #(
  parameter WIDTH_A = 9, WIDTH_B = 9, MODE_A = 0, MODE_B = 0, ASYNC = 0, BLOCKED = 0, parameter [{9 * BYTES - 1}:0] INIT = 0
) (
  input clk_a, ce_a, we_a, rst_a, input [3:0] be_a, input [13:0] ad_a, input [35:0] di_a, output reg [35:0] do_a,
  input clk_b, ce_b, we_b, rst_b, input [3:0] be_b, input [13:0] ad_b, input [35:0] di_b, output reg [35:0] do_b
);
  reg [8:0] bytes [0:{BYTES - 1}];
  reg [{9 * BYTES - 1}:0] init;  // Icarus builds a parameter anew for each bit that is taken from it
  integer k;
  initial begin
    init = INIT;
    for (k = 0; k < {BYTES}; k = k + 1) bytes[k] = init[9 * k +: 9];
    do_a = 0;
    do_b = 0;
  end
  wire [3:0] wider = shift_a > shift_b ? shift_a : shift_b;

  function [35:0] row(input [13:0] ad, input integer width);
    case (width)
      36: row = {{bytes[{{ad[13:5], 2'd3}}], bytes[{{ad[13:5], 2'd2}}], bytes[{{ad[13:5], 2'd1}}], bytes[{{ad[13:5], 2'd0}}]}};
      18: row = {{bytes[{{ad[13:4], 1'd1}}], bytes[{{ad[13:4], 1'd0}}]}};
      9: row = bytes[ad[13:3]];
      4: row = ad[2] ? bytes[ad[13:3]][7:4] : bytes[ad[13:3]][3:0];
      2: row = (bytes[ad[13:3]] >> {{ad[2:1], 1'b0}}) & 3;
      1: row = (bytes[ad[13:3]] >> ad[2:0]) & 1;
    endcase
  endfunction

  task store(input [13:0] ad, input integer width, input [3:0] be, input [35:0] di);
    integer n;
    case (width)
      36: for (n = 0; n < 4; n = n + 1) if (be[n]) bytes[4 * ad[13:5] + n] <= di[9 * n +: 9];
      18: for (n = 0; n < 2; n = n + 1) if (be[n]) bytes[2 * ad[13:4] + n] <= di[9 * n +: 9];
      9: bytes[ad[13:3]] <= di[8:0];
      default: for (n = 0; n < width; n = n + 1) bytes[ad[13:3]][ad[2:0] / width * width + n] <= di[n];
    endcase
  endtask
"""
    + PORT.format(p="a", P="A", q="b")
    + PORT.format(p="b", P="B", q="a")
    + "endmodule\n"
)


def _bits(name: str, width: int) -> str:
    return ", ".join(f"{name}{n}" for n in reversed(range(width)))


def dp16kd() -> str:
    """ECP5's block RAM. In its 36-bit form (PDPW16KD) A writes and B reads, each with its other half on the other port's wires."""
    values = "\n".join(f"  parameter [319:0] INITVAL_{k:02X} = 0;" for k in range(64))
    # 320 bits hold 16 rows of 18, each in 20.
    rows = ", ".join(f"INITVAL_{k:02X}[{20 * n} +: 18]" for k in reversed(range(64)) for n in reversed(range(16)))
    ports = ",\n".join(
        f"  input {_bits(f'DI{p}', 18)}, {_bits(f'AD{p}', 14)}, CE{p}, OCE{p}, CLK{p}, WE{p}, RST{p}, {_bits(f'CS{p}', 3)},\n"
        f"  output {_bits(f'DO{p}', 18)}"
        for p in "AB"
    )
    return f"""
module DP16KD (
{ports}
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC", CSDECODE_A = "0b000", CSDECODE_B = "0b000", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED";
{values}
  initial if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG") $fatal(1, "DP16KD: an output register is not modelled");
  wire [13:0] ad_a = {{{_bits("ADA", 14)}}}, ad_b = {{{_bits("ADB", 14)}}};
  wire [17:0] di_a = {{{_bits("DIA", 18)}}}, di_b = {{{_bits("DIB", 18)}}};
  wire [35:0] do_a, do_b;
  wire wide = DATA_WIDTH_B == 36;
  assign {{{_bits("DOA", 18)}}} = wide ? do_b[17:0] : do_a[17:0];
  assign {{{_bits("DOB", 18)}}} = wide ? do_b[35:18] : do_b[17:0];
  {RAM} #(
    .WIDTH_A(DATA_WIDTH_A), .WIDTH_B(DATA_WIDTH_B), .ASYNC(RESETMODE == "ASYNC"), .BLOCKED(1),
    .MODE_A(WRITEMODE_A == "NORMAL" ? 0 : WRITEMODE_A == "WRITETHROUGH" ? 1 : 2),
    .MODE_B(WRITEMODE_B == "NORMAL" ? 0 : WRITEMODE_B == "WRITETHROUGH" ? 1 : 2),
    .INIT({{{rows}}})
  ) ram (
    .clk_a(CLKAMUX == "INV" ? ~CLKA : CLKA), .ce_a(CEA), .we_a(WEA), .rst_a(RSTA), .be_a(ad_a[3:0]), .ad_a(ad_a), .di_a({{di_b, di_a}}),
    .do_a(do_a),
    .clk_b(CLKBMUX == "INV" ? ~CLKB : CLKB), .ce_b(CEB), .we_b(WEB), .rst_b(RSTB), .be_b(ad_b[3:0]), .ad_b(ad_b), .di_b({{18'b0, di_b}}),
    .do_b(do_b)
  );
endmodule
"""


GOWIN = (("SP", 8), ("SPX9", 9), ("DPB", 8), ("DPX9B", 9), ("SDPB", 8), ("SDPX9B", 9))


def gowin_ram(name: str, lane: int) -> str:
    """One of Gowin's forms of a block RAM: one port, two, or one that writes and one that reads; of bytes of 8 bits or of 9."""
    values = "\n".join(f"  parameter [{32 * lane - 1}:0] INIT_RAM_{k:02X} = 0;" for k in range(64))
    pad = "" if lane == 9 else "1'b0, "
    rows = ", ".join(f"{pad}INIT_RAM_{k:02X}[{lane * n} +: {lane}]" for k in reversed(range(64)) for n in reversed(range(32)))
    single, writes_reads = name.startswith("SP"), name.startswith("SDP")
    width = 4 * lane if single or writes_reads else 2 * lane
    lanes = width // lane

    def widen(signal: str) -> str:
        filled = [f"{pad}{signal}[{lane * n} +: {lane}]" for n in reversed(range(lanes))]
        return f"{{{36 - 9 * lanes}'b0, {', '.join(filled)}}}" if lanes < 4 else f"{{{', '.join(filled)}}}"

    def narrowed(signal: str) -> str:
        return ", ".join(f"{signal}[{9 * n} +: {lane}]" for n in reversed(range(lanes)))

    def nine(parameter: str) -> str:
        return parameter if lane == 9 else f"({parameter} < 8 ? {parameter} : {parameter} / 8 * 9)"

    top = width - 1
    port = (
        ".clk_{p}({clk}), .ce_{p}({ce} && {select}), .we_{p}({we}), .rst_{p}({rst}),\n"
        "    .be_{p}({ad}[3:0]), .ad_{p}({ad}), .di_{p}({di}), .do_{p}(do_{p})"
    )
    if single:
        ports = f"output [{top}:0] DO, input [{top}:0] DI, input [2:0] BLKSEL, input [13:0] AD, input WRE, CLK, CE, OCE, RESET"
        parameters = 'READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 32, BLK_SEL = 0, RESET_MODE = "SYNC"'
        registered, out = "READ_MODE", f"assign DO = {{{narrowed('do_a')}}};"
        settings = f".WIDTH_A({nine('BIT_WIDTH')}), .MODE_A(WRITE_MODE)"
        used = [
            port.format(p="a", clk="CLK", ce="CE", select="BLKSEL == BLK_SEL", we="WRE", rst="RESET", ad="AD", di=widen("DI")),
            port.format(p="b", clk="1'b0", ce="1'b0", select="1'b0", we="1'b0", rst="1'b0", ad="AD", di="36'b0"),
        ]
    elif writes_reads:
        ports = (
            f"output [{top}:0] DO, input [{top}:0] DI, input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,\n"
            "  input CLKA, CLKB, CEA, CEB, OCE, RESETA, RESETB"
        )
        parameters = 'READ_MODE = 0, BIT_WIDTH_0 = 32, BIT_WIDTH_1 = 32, BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC"'
        registered, out = "READ_MODE", f"assign DO = {{{narrowed('do_b')}}};"
        settings = f".WIDTH_A({nine('BIT_WIDTH_0')}), .WIDTH_B({nine('BIT_WIDTH_1')})"
        used = [
            port.format(p="a", clk="CLKA", ce="CEA", select="BLKSELA == BLK_SEL_0", we="1'b1", rst="RESETA", ad="ADA", di=widen("DI")),
            port.format(p="b", clk="CLKB", ce="CEB", select="BLKSELB == BLK_SEL_1", we="1'b0", rst="RESETB", ad="ADB", di="36'b0"),
        ]
    else:
        ports = (
            f"output [{top}:0] DOA, DOB, input [{top}:0] DIA, DIB, input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,\n"
            "  input WREA, WREB, CLKA, CLKB, CEA, CEB, OCEA, OCEB, RESETA, RESETB"
        )
        parameters = (
            "READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0, BIT_WIDTH_0 = 16, BIT_WIDTH_1 = 16,\n"
            '            BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC"'
        )
        registered, out = "READ_MODE0 || READ_MODE1", f"assign DOA = {{{narrowed('do_a')}}};\n  assign DOB = {{{narrowed('do_b')}}};"
        settings = f".WIDTH_A({nine('BIT_WIDTH_0')}), .WIDTH_B({nine('BIT_WIDTH_1')}), .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1)"
        used = [
            port.format(p=p, clk=f"CLK{P}", ce=f"CE{P}", select=f"BLKSEL{P} == BLK_SEL_{n}", we=f"WRE{P}", rst=f"RESET{P}", ad=f"AD{P}",
                        di=widen(f"DI{P}"))
            for n, (p, P) in enumerate(zip("ab", "AB", strict=True))
        ]  # fmt: skip
    return f"""
module {name} (
  {ports}
);
  parameter {parameters};
{values}
  initial if ({registered}) $fatal(1, "{name}: an output register is not modelled");
  wire [35:0] do_a, do_b;
  {out}
  {RAM} #({settings}, .ASYNC(RESET_MODE == "ASYNC"), .INIT({{{rows}}})) ram (
    {used[0]},
    {used[1]}
  );
endmodule
"""
