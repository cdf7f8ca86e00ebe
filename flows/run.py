"""`arbonn run`: all stages in a row, through the store, and what they found on one page."""

from __future__ import annotations

import json
import time
from pathlib import Path

from arbonn.errors import RecipeError
from arbonn.files import write_text
from arbonn.flows import stages
from arbonn.flows.options import BuildOptions, CheckOptions, Common, LowerOptions
from arbonn.flows.progress import Report, silent
from arbonn.flows.recipe import Recipe, load_recipe
from arbonn.flows.report import write_report
from arbonn.flows.results import CheckResult, NetlistResult, RunResult, Stages
from arbonn.flows.store import Store

SUMMARY, REPORT = "summary.json", "report.html"


def run(
    recipe: Recipe | Path, out: Path | None = None, *, beside: Path = Path(), store: Store | None = None, report: Report = silent
) -> RunResult:
    """Trains, lowers, checks and builds what a recipe describes; results, summary.json and report.html go to `out` (build/NAME).

    Nothing is made twice: a stage whose inputs, options, tools and code did not change is taken from the store, and a run that was killed
    goes on where it was. `beside` is the folder that the recipe's own file names are relative to.
    """
    begin = time.perf_counter()
    if isinstance(recipe, Path):
        beside = recipe.parent
        recipe = load_recipe(recipe)
    if recipe.network.first_last == "real":  # told before anything is trained for hardware that cannot be
        raise RecipeError(
            f"{recipe.name}: network.first_last",
            found="`real` first and last layers, which train and do not lower",
            allowed="binary, int8",
            fix='first_last = "int8", or `arbonn train` for its accuracy alone',
        )
    folder = out or Path("build") / recipe.name
    common = Common(folder, store, report)
    trained = stages.train(recipe, common)
    lowered = stages.lower(folder / trained.model, _lower_options(recipe, folder / trained.test_codes, beside), common)
    evaluated = stages.evaluate(folder, common=common)
    wanted = recipe.check
    to_check = CheckOptions(None, wanted.frames or None, wanted.second_frames, wanted.stalls, seed=wanted.seed, engine=wanted.engine)
    checked = stages.check(folder, to_check, common)
    options = BuildOptions(recipe.build.board, recipe.build.netlist_frames)
    built = stages.build(folder, options, common)
    netlist = stages.netlist(folder, built, options, common) if options.netlist_frames else None
    skipped = _skipped(checked, netlist)
    kept = Stages(
        train=trained,
        lower=lowered,
        eval=evaluated,
        check=checked if checked.frames else None,
        build=built,
        netlist=netlist if netlist and netlist.frames else None,
    )
    result = RunResult(
        name=recipe.name,
        accuracy=evaluated.accuracy,
        frames=checked.frames,
        bit_mismatches=kept.check.bit_mismatches if kept.check else None,
        cycle_mismatches=kept.check.cycle_mismatches if kept.check else None,
        ties=lowered.ties,
        first_out_cycles=lowered.first_out_cycles if checked.first_out_cycles is None else checked.first_out_cycles,
        latency_cycles=lowered.latency_cycles if checked.latency_cycles is None else checked.latency_cycles,
        interval_cycles=lowered.interval_cycles if checked.interval_cycles is None else checked.interval_cycles,
        luts=built.luts,
        ffs=built.ffs,
        brams=built.brams,
        fmax_mhz=built.fmax_mhz,
        fps_core_at_fmax=built.fps_core_at_fmax,
        fps_core_at_clock=built.fps_core_at_clock,
        fps_link=built.fps_link,
        bitstream=str(built.file(built.bitstream)),
        netlist_frames=netlist.frames if netlist else 0,
        netlist_mismatches=kept.netlist.mismatches if kept.netlist else None,
        report=str(folder / REPORT),
        good=not problems(kept),
        skipped=skipped,
        seeds={"train": recipe.seed, "split": recipe.data.split_seed, "stalls": wanted.seed},
        seconds={name: stage.seconds for name, stage in kept if stage is not None},
        total_seconds=round(time.perf_counter() - begin, 3),
        stages=kept,
    )
    write_text(folder / SUMMARY, json.dumps(result.as_json(), indent=1, ensure_ascii=False) + "\n")
    write_report(result, folder / REPORT)
    return result


def _lower_options(recipe: Recipe, samples: Path, beside: Path) -> LowerOptions:
    fold = recipe.fold
    return LowerOptions(
        samples=samples,
        max_samples=recipe.lower.samples,
        board=recipe.build.board,
        target_fps=fold.target_fps,
        max_luts=fold.max_luts,
        folding=beside / fold.folding if fold.folding else None,
    )


def _skipped(check: CheckResult, netlist: NetlistResult | None) -> dict[str, str]:
    """What was not done for want of a tool, and why."""
    reasons = {f"check on {share.name}": share.skipped for share in check.simulators if share.skipped}
    if check.frames == 0:
        reasons["check"] = "; ".join(f"{share.name}: {share.skipped}" for share in check.simulators)
    if netlist is None:
        reasons["netlist"] = "build.netlist_frames is 0"
    elif netlist.skipped:
        reasons["netlist"] = netlist.skipped
    return reasons


def problems(kept: Stages) -> list[str]:
    """Every difference found and every limit missed, as sentences: what makes the exit code 1."""
    found = []
    if kept.lower.mismatches:
        found.append(f"{kept.lower.mismatches} integers differ from the QONNX file; the first: {kept.lower.first_mismatch}")
    if kept.check and kept.check.first_difference:
        found.append(f"RTL and models differ; the first: {kept.check.first_difference}")
    if not kept.build.timing_met:
        found.append(f"{kept.build.fmax_mhz:.1f} MHz reached, {kept.build.clock_mhz:g} MHz needed; slowest path: {kept.build.slowest_path}")
    if kept.netlist and (kept.netlist.mismatches or kept.netlist.rtl_mismatches or not kept.netlist.cycles_equal):
        found.append(f"the bitstream differs; the first: {kept.netlist.first_difference}")
    return found
