"""What a run proved or failed, in one line each, and the command that shows it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arbonn.flows.results import RunResult


@dataclass(frozen=True)
class Verdict:
    """`good` is None for what was not looked at."""

    name: str
    good: bool | None
    said: str


def verdicts(result: RunResult) -> list[Verdict]:
    """Bits, cycles, ties, fit, clock and what was built, in the order in which a reader asks."""
    kept, build = result.stages, result.stages.build
    lower, check, netlist = kept.lower, kept.check, kept.netlist
    over = [name for name, used in build.used.items() if used > build.available[name]]
    fullest = max(build.used, key=lambda name: build.used[name] / max(build.available[name], 1), default="")
    used = [f"{name.replace('_', ' ')}: {build.used[name]:,} of {build.available[name]:,}" for name in over or [fullest] if name]
    found = [
        Verdict("QONNX and graph equal", lower.mismatches == 0, f"{lower.mismatches:,} of {lower.verified_integers:,} integers differ"),
        Verdict("No ties", None if lower.ties else True, f"{lower.ties:,} integers that rounding of floats could have put on either side"),
    ]
    if check is None:
        why = f"skipped: {result.skipped.get('check', '')}"
        found += [Verdict("Bits equal", None, why), Verdict("Cycles equal", None, why)]
    else:
        late = (
            f"{check.cycle_mismatches:,} of {check.transfers:,} transfers in another cycle, {check.violations:,} breaches of stream rules"
        )
        differ = f"{check.bit_mismatches:,} of {check.transfers:,} transfers differ"
        found.append(Verdict("Bits equal", check.bit_mismatches == 0, differ))
        found.append(Verdict("Cycles equal", check.cycle_mismatches == check.violations == 0, late))
    found.append(Verdict(f"Fits {build.board}", not over, ", ".join(used)))
    found.append(Verdict("Meets the clock", build.timing_met, f"{build.fmax_mhz:.1f} MHz reached, {build.clock_mhz:g} MHz used"))
    name = "What was built answers the same"
    if netlist is None:
        return [*found, Verdict(name, None, f"skipped: {result.skipped.get('netlist', '')}")]
    wrong = netlist.mismatches + netlist.rtl_mismatches
    cycles = "every edge in its cycle" if netlist.cycles_equal else "cycles differ"
    said = f"{netlist.compared}, {netlist.frames} frames at its pins: {wrong} mismatches, {cycles}"
    return [*found, Verdict(name, wrong == 0 and netlist.cycles_equal, said)]


def commands(result: RunResult, folder: Path) -> dict[str, str]:
    """The command that makes a figure again, by the figure's row; those of one command share it."""
    board = result.stages.build.board
    lower = f"arbonn lower {folder}/model.onnx --out {folder} --samples {folder}/test_codes.npy --board {board}"
    shares = result.stages.check.simulators if result.stages.check else []
    engine = " --engine amaranth" if [share.name for share in shares] == ["amaranth"] else ""
    check, build = f"arbonn check {folder}{engine}", f"arbonn build {folder} --board {board} --netlist-frames {result.netlist_frames}"
    return {
        "accuracy": f"arbonn eval {folder}",
        "compared with QONNX": lower,
        "RTL against models": check,
        "first out": check,
        "latency": check,
        "interval": check,
        "size": build,
        "clock": build,
        "frames a second": build,
        "bitstream": build,
        **{f"{compared}, simulated": build for compared in ("bitstream", "synthesis")},
    }
