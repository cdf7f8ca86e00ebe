"""`arbonn run` on a tiny recipe: one path from training to a checked bitstream, nothing made twice, nothing lost to `kill -9`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from arbonn.flows.results import RunResult
from arbonn.hw.boards import every_board

ARBONN = str(Path(sys.executable).parent / "arbonn")
RECIPE = """
name = "tiny"
[data]
name = "digits"
test = 20
[network]
sizes = [16]
[method]
name = "ste"
[train]
epochs = 2
[fold]
target_fps = 12000.0
[check]
second_frames = 2
stalls = [0.0, 0.5]
"""
SHOWN = (
    "accuracy", "frames", "bit_mismatches", "cycle_mismatches", "ties", "first_out_cycles", "latency_cycles", "interval_cycles",
    "luts", "ffs", "brams", "fmax_mhz", "bitstream", "netlist_frames", "netlist_mismatches", "report",
)  # fmt: skip


def arbonn(*arguments: object, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in `folder`."""
    environment = {**os.environ, "COLUMNS": "150", **variables}
    command = [ARBONN, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with tiny.toml, in which it was run once."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(RECIPE)
    done = arbonn("run", "tiny.toml", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def made(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what may differ between two runs of the same thing: times, and whether the store had it."""
    varying = {"seconds", "total_seconds", "cached", "images_per_second", "cycles_per_s", "folder"}
    return {k: made(v) if isinstance(v, dict) else [made(x) if isinstance(x, dict) else x for x in v] if isinstance(v, list) else v
            for k, v in result.items() if k not in varying}  # fmt: skip


def test_everything_is_equal_and_every_key_is_there(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, result = ran
    assert [key for key in SHOWN if result[key] is None] == []
    assert (result["frames"], result["bit_mismatches"], result["cycle_mismatches"]) == (20, 0, 0)
    assert (result["netlist_frames"], result["netlist_mismatches"], result["good"], result["skipped"]) == (2, 0, True, {})
    stages = result["stages"]
    assert stages["lower"]["mismatches"] == 0
    for cycles in ("first_out_cycles", "latency_cycles", "interval_cycles"):
        assert result[cycles] == stages["check"][f"predicted_{cycles}"] == stages["lower"][cycles]
    assert result["fps_core_at_clock"] == pytest.approx(12e6 / result["interval_cycles"], abs=0.1)
    assert result["accuracy"] == stages["eval"]["correct"] / 20
    assert (folder / result["bitstream"]).stat().st_size == stages["build"]["bitstream_bytes"]


def test_summary_is_what_was_printed(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, result = ran
    text = (folder / "build" / "tiny" / "summary.json").read_text()
    assert json.loads(text) == result
    assert RunResult.model_validate_json(text).as_json() == result


def test_report_is_one_page_with_no_link_outside(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, result = ran
    page = (folder / result["report"]).read_text()
    for value in (f"{100 * result['accuracy']:.2f} %", result["stages"]["build"]["bitstream_sha256"], "0 bit and 0 cycle mismatches"):
        assert value in page
    (folder / result["report"]).unlink()
    done = arbonn("report", "build/tiny", "--json", folder=folder)
    found = json.loads(done.stdout)
    assert (found["file"], found["bytes"], found["external_requests"]) == (result["report"], len(page.encode()), 0)
    assert (folder / result["report"]).read_text() == page


def test_a_second_run_makes_nothing(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, result = ran
    again = json.loads(arbonn("run", folder / "tiny.toml", "--json", folder=tmp_path).stdout)
    assert [name for name, stage in again["stages"].items() if name != "eval" and not stage["cached"]] == []
    assert made(again) == made(result)
    assert again["total_seconds"] < 10


def test_a_table_for_people(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = ran
    done = arbonn("run", "tiny.toml", folder=folder)
    assert done.returncode == 0
    for line in (
        "accuracy",
        "RTL against models",
        "bitstream, simulated   2 frames at its pins: 0 mismatches, every edge in the same cycle",
    ):
        assert line in done.stdout


def test_single_stages_do_what_run_does(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, result = ran
    shutil.copy(folder / "build" / "tiny" / "model.onnx", tmp_path)
    for name in ("test_codes.npy", "test_labels.npy"):
        shutil.copy(folder / "build" / "tiny" / name, tmp_path)
    lowered = json.loads(arbonn("lower", "model.onnx", "--out", ".", "--target-fps", 12000, "--json", folder=tmp_path).stdout)
    assert lowered["graph_digest"] == result["stages"]["lower"]["graph_digest"]
    assert json.loads(arbonn("eval", ".", "--json", folder=tmp_path).stdout)["accuracy"] == result["accuracy"]
    built = json.loads(arbonn("build", ".", "--json", folder=tmp_path).stdout)
    assert built["bitstream_sha256"] == result["stages"]["build"]["bitstream_sha256"]
    assert built["netlist"]["mismatches"] == 0


def test_without_optional_tools_it_ends_well_and_says_what_was_skipped(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = ran
    bare = tmp_path / "bin"
    bare.mkdir()
    missing = {"iverilog", "vvp", "icebox_vlog", "iceunpack"}
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).iterdir() if Path(place).is_dir() else []:
            if program.name not in missing and not (bare / program.name).exists():
                (bare / program.name).symlink_to(program)
    done = arbonn("run", folder / "tiny.toml", "--json", folder=tmp_path, PATH=str(bare))
    assert done.returncode == 0, done.stderr
    without = json.loads(done.stdout)
    assert without["skipped"] == {
        "check on icarus": "not on PATH; to get it: sudo apt-get install iverilog",
        "netlist": "icebox_vlog and iverilog not found; to have it: sudo apt-get install fpga-icestorm && sudo apt-get install iverilog",
    }
    assert (without["stages"]["netlist"], without["netlist_mismatches"], without["netlist_frames"]) == (None, None, 0)
    assert (without["frames"], without["bit_mismatches"], without["good"]) == (20, 0, True)
    assert "skipped: icebox_vlog" in (tmp_path / without["report"]).read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["cut.onnx"],
            2,
            "InputError: cut.onnx: 1000 bytes that hold no whole ONNX model\n"
            "  allowed  a QONNX file (.onnx)\n"
            "  fix      export the network again: `arbonn train` or brevitas.export.export_qonnx\n",
        ),
        (
            ["model.onnx", "--folding", "folding.json"],
            2,
            "FoldingError: mvau_0 (MVAU): PE = 3 does not divide the 16 outputs\n"
            "  allowed  PE in 1, 2, 4, 8, 16\n"
            "  fix      take a divisor, or leave the unit out\n",
        ),
        (
            ["model.onnx", "--board", "nowhere"],
            2,
            f"InputError: --board: no board 'nowhere'\n  allowed  {', '.join(sorted(every_board()))}\n",
        ),
    ],
)
def test_bad_input_of_lower_is_one_clear_message(
    ran: tuple[Path, dict[str, Any]], arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    model = (ran[0] / "build" / "tiny" / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(model)
    (tmp_path / "cut.onnx").write_bytes(model[:1000])
    (tmp_path / "folding.json").write_text('{"mvau_0": {"PE": 3, "SIMD": 8}}')
    done = arbonn("lower", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.replace("lower ...\n", "")) == (code, "", message)


def test_a_network_that_does_not_fit_is_told_by_how_much(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    shutil.copy(ran[0] / "build" / "tiny" / "model.onnx", tmp_path)
    done = arbonn("lower", "model.onnx", "--max-luts", 20, "--json", folder=tmp_path)
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 1
    assert " LUTs" in error["found"]
    assert error["allowed"].startswith("20 LUTs")
    assert error["fix"] == "no folding of this network fits: take a larger board or a smaller network"


def start(*arguments: object, folder: Path, store: Path) -> subprocess.Popen[str]:
    """Starts the command in a process group of its own, with an empty store."""
    environment = {**os.environ, "ARBONN_STORE": str(store)}
    command = [ARBONN, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )


def test_a_killed_training_goes_on_to_the_same_file(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = ran
    longer = ("train", folder / "tiny.toml", "--set", "train.epochs=12", "--json", "--out", "out")
    whole = arbonn(*longer, folder=tmp_path, ARBONN_STORE=str(tmp_path / "one"))
    assert whole.returncode == 0, whole.stderr
    expected = (tmp_path / "out" / "model.onnx").read_bytes()
    with start(*longer, folder=tmp_path, store=tmp_path / "two") as victim:
        while not list((tmp_path / "two").glob("partial/train-*/checkpoint.pt")):
            assert victim.poll() is None
            time.sleep(0.01)
        victim.kill()
    assert victim.returncode == -signal.SIGKILL
    assert list((tmp_path / "two" / "objects").glob("*")) == []
    resumed = arbonn(*longer, folder=tmp_path, ARBONN_STORE=str(tmp_path / "two"))
    assert made(json.loads(resumed.stdout)) == made(json.loads(whole.stdout))
    assert (tmp_path / "out" / "model.onnx").read_bytes() == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage", ["train", "lower", "check", "synthesis (yosys)", "place and route (nextpnr-ice40)", "check of the bitstream"]
)
def test_killed_at_any_stage_it_ends_in_the_same_result(ran: tuple[Path, dict[str, Any]], stage: str, tmp_path: Path) -> None:
    folder, result = ran
    with start("run", folder / "tiny.toml", folder=tmp_path, store=tmp_path / "store") as victim:
        assert victim.stderr is not None
        for line in victim.stderr:
            if line == f"{stage} ...\n":
                break
        time.sleep(0.5)
        victim.kill()  # it alone: what it started may live on for a while, as it would for a user
        again = arbonn("run", folder / "tiny.toml", "--json", folder=tmp_path, ARBONN_STORE=str(tmp_path / "store"))
        os.killpg(victim.pid, signal.SIGKILL) if _alive(victim.pid) else None
    assert again.returncode == 0, again.stderr
    assert made(json.loads(again.stdout)) == made(result)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
