"""The zoo: each network is the file that its figures tell of, and lowers, answers and checks as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from arbonn.errors import CheckError, InputError
from arbonn.flows import stages, zoo
from arbonn.flows.options import CheckOptions, Common, LowerOptions

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "zoo"
NAMES = zoo.names(ZOO)


def arbonn(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "arbonn"), *arguments]
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)


def lowered(name: str, folder: Path) -> zoo.ZooFigures:
    """The network lowered into `folder`, its test images beside it; its figures."""
    from arbonn.model.batches import load

    recipe = zoo.recipe(ZOO, name)
    if recipe.data.name == "mnist" and "ARBONN_DATA" not in os.environ:
        pytest.skip("ARBONN_DATA is not set")
    test = load(recipe).test
    np.save(folder / "images.npy", test.codes)
    np.save(folder / "labels.npy", test.labels)
    options = LowerOptions(samples=folder / "images.npy", max_samples=20, board=recipe.build.board)
    result = stages.lower(ZOO / name / zoo.MODEL, options, Common(folder))
    figures = zoo.figures(ZOO, name)
    assert (result.mismatches, result.input_source) == (0, "metadata")
    assert (result.latency_cycles, result.interval_cycles) == (figures.latency_cycles, figures.interval_cycles), "else `make zoo`"
    return figures


SLOW = {"mnist_cnn"}  # 10,000 images through three convolutions


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NAMES])
def test_a_network_lowers_and_is_right_as_often_as_its_figures_say(name: str, tmp_path: Path) -> None:
    figures = lowered(name, tmp_path)
    found = stages.evaluate(tmp_path, tmp_path / "images.npy", tmp_path / "labels.npy")
    assert (found.frames, found.accuracy) == (figures.test_images, figures.accuracy)
    assert figures.mismatches == 0
    assert figures.verified_images >= 100
    assert figures.model_bytes == (ZOO / name / zoo.MODEL).stat().st_size <= 300_000


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_hardware_of_a_network_is_the_model(name: str, tmp_path: Path) -> None:
    lowered(name, tmp_path)
    found = stages.check(tmp_path, CheckOptions(tmp_path / "images.npy", 3, 0, (0.0, 0.3), engine="native"), Common(tmp_path))
    assert (found.frames, found.bit_mismatches, found.cycle_mismatches, found.violations) == (3, 0, 0, 0)


@pytest.mark.slow
def test_a_network_made_again_is_the_same(tmp_path: Path) -> None:
    shutil.copytree(ZOO / "digits_cnn", tmp_path / "zoo" / "digits_cnn")
    before = zoo.figures(ZOO, "digits_cnn")
    again = zoo.remake(tmp_path / "zoo", "digits_cnn")
    assert zoo.figures(tmp_path / "zoo", "digits_cnn") == again
    same = {"accuracy", "float_accuracy", "binary_weights", "latency_cycles", "interval_cycles", "seed", "epochs"}
    assert again.model_dump(include=same) == before.model_dump(include=same)
    assert again.checked_images == 3
    assert again.checked_transfers > 3 * 64
    assert min(again.luts, again.ffs, again.brams) > 0
    assert again.fmax_mhz > again.clock_mhz == 12


@pytest.mark.slow
def test_measured_again_it_is_the_network_and_the_training_that_it_was(tmp_path: Path) -> None:
    shutil.copytree(ZOO / "digits_cnn", tmp_path / "digits_cnn")
    before = zoo.figures(tmp_path, "digits_cnn")
    changed = before.model_copy(update={"latency_cycles": 1, "luts": None, "checked_transfers": None})
    (tmp_path / "digits_cnn" / zoo.FIGURES).write_text(json.dumps(changed.as_json()))
    assert zoo.measure(tmp_path, "digits_cnn") == zoo.figures(tmp_path, "digits_cnn") == before


def test_hardware_that_is_not_the_model_makes_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ZOO / "digits_cnn", tmp_path / "digits_cnn")
    files = {path: path.read_bytes() for path in (tmp_path / "digits_cnn").iterdir()}
    trained = SimpleNamespace(file=Path, test_codes="images.npy", test_labels="labels.npy", model="model.onnx")
    differs = SimpleNamespace(bit_mismatches=0, cycle_mismatches=1, violations=0, first_difference="verilator, stall 0.3: transfer 7")
    made = {"train": trained, "lower": SimpleNamespace(folder="LOWERED"), "evaluate": None, "check": differs}
    for stage, result in made.items():
        monkeypatch.setattr(stages, stage, lambda *given, result=result: result)
    with pytest.raises(CheckError):
        zoo.measure(tmp_path, "digits_cnn")
    with pytest.raises(CheckError) as caught:
        zoo.remake(tmp_path, "digits_cnn")
    assert str(caught.value) == (
        f"CheckError: {tmp_path}/digits_cnn: the RTL is not the model: verilator, stall 0.3: transfer 7\n"
        "  allowed  no difference\n  fix      arbonn check LOWERED --images images.npy"
    )
    assert {path: path.read_bytes() for path in (tmp_path / "digits_cnn").iterdir()} == files


def test_the_command_lists_all_of_them() -> None:
    found = json.loads(arbonn("zoo", "--json", cwd=ROOT).stdout)
    assert list(found["networks"]) == NAMES
    assert found["networks"]["digits_cnn"] == zoo.figures(ZOO, "digits_cnn").as_json()
    assert "accuracy" in arbonn("zoo", cwd=ROOT).stdout


def refusal(folder: Path, *arguments: str) -> str:
    done = arbonn("zoo", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_bad_input_is_one_clear_message(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        "InputError: zoo: no such folder\n  allowed  a folder with NAME/recipe.toml\n  fix      type this in a checkout, or say --folder\n"
    )
    assert refusal(ROOT, "--remake", "digits_cn") == (
        f"InputError: zoo/digits_cn: no network of the zoo\n  allowed  {', '.join(NAMES)}\n  fix      did you mean `digits_cnn`?\n"
    )


def test_a_file_that_the_figures_do_not_tell_of(tmp_path: Path) -> None:
    shutil.copytree(ZOO / "digits_cnn", tmp_path / "digits_cnn")
    (tmp_path / "digits_cnn" / zoo.MODEL).write_bytes(b"another")
    with pytest.raises(InputError) as caught:
        zoo.figures(tmp_path, "digits_cnn")
    digest = zoo.figures(ZOO, "digits_cnn").model_sha256
    assert str(caught.value) == (
        f"InputError: {tmp_path}/digits_cnn/model.onnx: sha256 ae448ac86c4e8e4dec645729708ef41873ae79c6dff84eff73360989487f08e5\n"
        f"  allowed  {digest}, of figures.json\n  fix      arbonn zoo --folder {tmp_path} --remake digits_cnn"
    )
    (tmp_path / "digits_cnn" / zoo.FIGURES).unlink()
    with pytest.raises(InputError, match="digits_cnn: not whole: "):
        zoo.figures(tmp_path, "digits_cnn")
