"""Tcl for Vivado: a project around the packaged accelerator, its processor and a DMA for each stream. Not run in Vivado by us.

What the tests run is the Tcl itself, with the names of Vivado's commands standing in for them: that it is Tcl, which cells it makes, and
that every pin it connects is one of a cell that it made.
"""

from __future__ import annotations

from arbonn.flows.packaging.ipxact import LIBRARY, VENDOR
from arbonn.hw.boards.amd import AmdBoard
from arbonn.hw.shells.axi_map import TOP, AxiPort, MemoryMap

PROCESSORS = {
    "zynq": ("processing_system7", "M_AXI_GP0", "S_AXI_HP0", "FCLK_CLK0", "FCLK_RESET0_N"),
    "zynqmp": ("zynq_ultra_ps_e", "M_AXI_HPM0_FPD", "S_AXI_HP0_FPD", "pl_clk0", "pl_resetn0"),
}
SETTINGS = {
    "zynq": "CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ {clock_mhz:g}",
    "zynqmp": "CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0"
    " CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {clock_mhz:g}",
}


def lanes_of(end: AxiPort) -> int:
    """Bytes of a beat in memory: a DMA moves powers of two only."""
    return 1 << (end.tdata_bytes - 1).bit_length()


def tcl(board: AmdBoard, memory: MemoryMap) -> str:
    """The text of build.tcl: `vivado -mode batch -source build.tcl` leaves arbonn.bit and arbonn.hwh."""
    kind, general, fast, clock, reset = PROCESSORS[board.processor]
    lines = f"""# Builds arbonn.bit and arbonn.hwh for {board.name} in the folder it is run in:  vivado -mode batch -source .../build.tcl
set here [file dirname [file normalize [info script]]]
set out [pwd]
create_project -force arbonn $out/vivado -part {board.part}
set board [lindex [get_board_parts -quiet -latest_file_version {board.files}*] 0]
if {{$board ne ""}} {{ set_property board_part $board [current_project] }}
set_property ip_repo_paths $here [current_project]
update_ip_catalog
create_bd_design system
create_bd_cell -type ip -vlnv xilinx.com:ip:{kind} processor
if {{$board ne ""}} {{
  apply_bd_automation -rule xilinx.com:bd_rule:{kind} -config {{apply_board_preset 1}} [get_bd_cells processor]
}}
set_property -dict {{{SETTINGS[board.processor].format(clock_mhz=board.clock_mhz)}}} [get_bd_cells processor]
create_bd_cell -type ip -vlnv {VENDOR}:{LIBRARY}:{TOP} accelerator
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect memory""".splitlines()
    clocked = [
        "accelerator/aclk",
        "control/aclk",
        "memory/aclk",
        "reset/slowest_sync_clk",
        f"processor/{general}_ACLK",
        f"processor/{fast}_ACLK",
    ]
    if board.processor == "zynqmp":
        clocked[-2:] = ["processor/maxihpm0_fpd_aclk", "processor/saxihp0_fpd_aclk"]
    quiet = ["accelerator/aresetn", "control/aresetn", "memory/aresetn"]
    buses = [("control/M00_AXI", "accelerator/s_axi"), (f"processor/{general}", "control/S00_AXI"), ("memory/M00_AXI", f"processor/{fast}")]
    masters = 0
    ends = [(end, True) for end in memory.inputs] + [(end, False) for end in memory.outputs]
    for number, (end, going_in) in enumerate(ends):
        dma, side, width = f"dma_{end.stream}", "mm2s" if going_in else "s2mm", 8 * lanes_of(end)
        other = "s2mm" if going_in else "mm2s"
        stream_width = f"CONFIG.c_m_axis_mm2s_tdata_width {width} " if going_in else ""
        lines += [
            f"create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma {dma}",
            f"set_property -dict {{CONFIG.c_include_sg 0 CONFIG.c_sg_length_width 26 CONFIG.c_include_{other} 0 {stream_width}}}"
            f" [get_bd_cells {dma}]",
        ]
        theirs, ours = f"{dma}/{'M_AXIS_MM2S' if going_in else 'S_AXIS_S2MM'}", f"accelerator/{end.port}"
        if lanes_of(end) != end.tdata_bytes:  # beats of memory are powers of two: drop what pads them, or add it
            narrow, wide = end.tdata_bytes, lanes_of(end)
            first, second, remap = (wide, narrow, f"tdata[{8 * narrow - 1}:0]") if going_in else (
                narrow, wide, f"{8 * (wide - narrow)}'b0,tdata[{8 * narrow - 1}:0]")  # fmt: skip
            fit = f"fit_{end.stream}"
            lines += [
                f"create_bd_cell -type ip -vlnv xilinx.com:ip:axis_subset_converter {fit}",
                f"set_property -dict {{CONFIG.S_TDATA_NUM_BYTES {first} CONFIG.M_TDATA_NUM_BYTES {second} CONFIG.TDATA_REMAP {{{remap}}}"
                f" CONFIG.S_HAS_TLAST 1 CONFIG.M_HAS_TLAST 1}} [get_bd_cells {fit}]",
            ]
            clocked.append(f"{fit}/aclk")
            quiet.append(f"{fit}/aresetn")
            buses += (
                [(theirs, f"{fit}/S_AXIS"), (f"{fit}/M_AXIS", ours)] if going_in else [(ours, f"{fit}/S_AXIS"), (f"{fit}/M_AXIS", theirs)]
            )
        else:
            buses.append((theirs, ours) if going_in else (ours, theirs))
        buses += [(f"control/M{number + 1:02}_AXI", f"{dma}/S_AXI_LITE"), (f"{dma}/M_AXI_{side.upper()}", f"memory/S{masters:02}_AXI")]
        clocked += [f"{dma}/s_axi_lite_aclk", f"{dma}/m_axi_{side}_aclk"]
        quiet.append(f"{dma}/axi_resetn")
        masters += 1
    lines += [
        f"set_property -dict {{CONFIG.NUM_SI 1 CONFIG.NUM_MI {1 + len(ends)}}} [get_bd_cells control]",
        f"set_property -dict {{CONFIG.NUM_SI {masters} CONFIG.NUM_MI 1}} [get_bd_cells memory]",
        *(f"connect_bd_intf_net [get_bd_intf_pins {a}] [get_bd_intf_pins {b}]" for a, b in buses),
        *(f"connect_bd_net [get_bd_pins processor/{clock}] [get_bd_pins {pin}]" for pin in clocked),
        f"connect_bd_net [get_bd_pins processor/{reset}] [get_bd_pins reset/ext_reset_in]",
        *(f"connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins {pin}]" for pin in quiet),
    ]
    lines += """assign_bd_address
validate_bd_design
save_bd_design
make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "the implementation did not finish: see its log" }
open_run impl_1
report_utilization -hierarchical -file $out/utilization.rpt
report_timing_summary -file $out/timing.rpt
file copy -force [glob $out/vivado/arbonn.runs/impl_1/*.bit] $out/arbonn.bit
file copy -force [lindex [glob $out/vivado/arbonn.gen/sources_1/bd/system/hw_handoff/*.hwh] 0] $out/arbonn.hwh""".splitlines()
    return "\n".join(lines) + "\n"


def xdc(board: AmdBoard) -> str:
    """The clock, for synthesis of the accelerator alone; in the project the processor's own constraint holds."""
    return f"create_clock -name aclk -period {1000 / board.clock_mhz:.3f} [get_ports aclk]\n"
