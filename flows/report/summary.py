"""A run's summary.json, and its figures as a person reads them: the terminal's table and the head of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from arbonn.errors import InputError
from arbonn.flows.results import RunResult, StageResult


def read_summary(folder: Path) -> RunResult:
    """The result in `folder`/summary.json."""
    path = folder / "summary.json"
    try:
        return RunResult.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            str(path),
            found="no such file",
            allowed="a folder that `arbonn run` or `arbonn explore` wrote",
            fix="arbonn run recipes/digits.toml",
        ) from None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = f"{error.error_count()} keys differ" if isinstance(error, ValidationError) else str(error)
        raise InputError(
            str(path), found=f"no readable summary ({reason})", allowed="what this version of `arbonn run` writes", fix="run it again"
        ) from None


def rows(result: RunResult) -> dict[str, str]:
    """The figures that matter, for a person: the terminal's table and the head of the page."""
    kept, build = result.stages, result.stages.build
    predicted = kept.lower
    return {
        "accuracy": f"{100 * result.accuracy:.2f} %  ({kept.eval.correct} of {kept.eval.frames} test images, integer network)",
        "compared with QONNX": f"{kept.lower.verified_integers:,} integers: {kept.lower.mismatches} mismatches, {result.ties} ties",
        "RTL against models": _check(result),
        "first out": f"{predicted.first_out_cycles} cycles predicted, {_seen(result, 'first_out_cycles')} seen",
        "latency": f"{predicted.latency_cycles} cycles predicted, {_seen(result, 'latency_cycles')} seen",
        "interval": f"{predicted.interval_cycles:g} cycles predicted, {_seen(result, 'interval_cycles')} seen",
        "size": f"{build.luts} LUTs, {build.ffs} flip-flops, {build.brams} block RAMs on {build.board}",
        "clock": f"{build.fmax_mhz:.1f} MHz reached, {build.clock_mhz:g} MHz used",
        "frames a second": f"core {build.fps_core_at_clock:,.0f} at {build.clock_mhz:g} MHz, {build.fps_core_at_fmax:,.0f} at "
        f"{build.fmax_mhz:.1f} MHz; serial link {build.fps_link:,.0f}",
        "bitstream": f"{result.bitstream}  ({build.bitstream_bytes:,} bytes)",
        f"{result.stages.netlist.compared if result.stages.netlist else 'bitstream'}, simulated": _netlist(result),
    }


def versions(result: RunResult) -> dict[str, str]:
    """Versions of all tools that took part."""
    stages: list[StageResult] = [stage for _, stage in result.stages if stage is not None]
    found = {tool: version for stage in stages for tool, version in stage.versions.items()}
    return {tool: version or "missing" for tool, version in sorted(found.items())}


def _check(result: RunResult) -> str:
    check = result.stages.check
    if check is None:
        return f"skipped: {result.skipped['check']}"
    ran = ", ".join(f"{share.name} {share.frames} frames" for share in check.simulators if not share.skipped)
    return f"{check.transfers:,} transfers: {check.bit_mismatches} bit and {check.cycle_mismatches} cycle mismatches ({ran})"


def _seen(result: RunResult, name: str) -> str:
    value: Any = getattr(result.stages.check, name, None)
    return "not" if value is None else f"{value:g}"


def _netlist(result: RunResult) -> str:
    netlist = result.stages.netlist
    if netlist is None:
        return f"skipped: {result.skipped['netlist']}"
    cycles = "every edge in the same cycle" if netlist.cycles_equal else "CYCLES DIFFER"
    return f"{netlist.frames} frames at its pins: {netlist.mismatches} mismatches, {cycles}"
