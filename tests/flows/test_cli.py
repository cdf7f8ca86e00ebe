"""The command line: help that costs nothing, one object on standard output, one clear message for bad input, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arbonn.model.recipe import TrainConfig

DIGITS = Path(__file__).parents[2] / "recipes" / "digits.toml"
COMMANDS = (
    "build", "check", "clean", "cmvm", "compare", "cost", "doctor", "eval", "explain", "explore", "export", "frontier", "infer", "lower",
    "methods", "report", "run", "show", "train", "zoo",
)  # fmt: skip


def arbonn(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the installed command."""
    command = [str(Path(sys.executable).parent / "arbonn"), *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "120", **variables}
    return subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['arbonn', '--help']\n"
        "from arbonn.flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'brevitas', 'onnx', 'onnxruntime', 'qonnx', 'numba', 'sklearn', 'amaranth', 'numpy', 'jinja2'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "heavy: []\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_and_the_next_step(command: str) -> None:
    done = arbonn(command, "--help")
    assert done.returncode == 0
    *_, example, blank, following = done.stdout.rstrip().splitlines()
    assert example.strip().startswith(f"Example: arbonn {command} ") or example.strip() == f"Example: arbonn {command}"
    assert blank.strip() == ""
    assert following.strip().startswith("Next:")


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_an_answer_that_cannot_be_written_is_one_error(json_option: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = [str(Path(sys.executable).parent / "arbonn"), "methods", *json_option]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "InputError: standard output: No space left on device\n  fix      send it where there is room\n"


def test_every_command_is_listed() -> None:
    listed = arbonn("--help").stdout
    assert [name for name in COMMANDS if f" {name} " not in listed] == []


USAGE = [
    (
        ["trian", "x"],
        f"InputError: arbonn: no such command 'trian'\n  allowed  {', '.join(COMMANDS)}\n  fix      did you mean `train`?\n",
    ),
    (["train"], "InputError: arbonn train: missing argument 'RECIPE'\n  fix      see `arbonn train --help`\n"),
    (["train", "x", "--otu", "y"], "InputError: arbonn train: no such option: --otu\n  fix      did you mean `--out`?\n"),
    (["train", "x", "--out"], "InputError: arbonn: option '--out' requires an argument\n  fix      see `arbonn --help`\n"),
    (
        ["train", "nowhere/digits.toml"],
        "RecipeError: nowhere/digits.toml: no such file\n  allowed  a TOML file\n",
    ),
    (
        ["run", str(DIGITS), "--set", "train.epoch=3"],
        f"RecipeError: {DIGITS}: train.epoch: unknown key `epoch`\n"
        f"  allowed  {', '.join(sorted(TrainConfig.model_fields))}\n"
        "  fix      did you mean `epochs`?\n",
    ),
    (
        ["lower", "nowhere.onnx"],
        "InputError: nowhere.onnx: no such file\n  allowed  a QONNX file (.onnx)\n",
    ),
    (
        ["check", "nowhere"],
        "GraphError: nowhere/graph.json: no readable graph (FileNotFoundError: [Errno 2] No such file or directory: "
        "'nowhere/graph.json')\n  allowed  graph.json and graph.npz\n  fix      make it again with `arbonn lower MODEL --out nowhere`\n",
    ),
    (
        ["report", "nowhere"],
        "InputError: nowhere/summary.json: no such file\n"
        "  allowed  a folder that `arbonn run` or `arbonn explore` wrote\n  fix      arbonn run recipes/digits.toml\n",
    ),
    (["run", str(DIGITS), "--set", "train.epochs='x'"], f"RecipeError: {DIGITS}: train.epochs: 'x'\n  allowed  integer\n"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "")
def test_bad_input_is_one_clear_message(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = arbonn(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    lines = message.splitlines()
    as_json = arbonn(*arguments[:1], "--json", *arguments[1:], cwd=tmp_path)
    (key,) = answer = json.loads(as_json.stdout)
    assert (as_json.returncode, key, list(answer["error"])) == (2, "error", ["where", "found", "allowed", "fix"])
    assert lines[0].endswith(f"{answer['error']['where']}: {answer['error']['found']}")


SAYING = """import os, signal, sys
sys.argv = ["arbonn", "methods", *sys.argv[1:]]
from arbonn.flows import cli

{where}
cli.main()
"""
LOADING = "sys.meta_path.insert(0, type('Finder', (), {'find_spec': staticmethod(lambda *a: os.kill(os.getpid(), signal.SIGINT))}))"
ANSWERING = "told = cli._answer\ncli._answer = lambda *a: [told(*a), os.kill(os.getpid(), signal.SIGINT)][0]"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_while_libraries_are_loaded_is_one_sentence(options: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", SAYING.format(where=LOADING), *options], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "Interrupted. The finished stages are kept: the same command goes on from there.\n")
    assert [json.loads(done.stdout)["error"]["found"]] == ["interrupted"] if options else done.stdout == ""


def test_ctrl_c_after_the_answer_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", SAYING.format(where=ANSWERING), "--json"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ste" in json.loads(done.stdout)["methods"]


def test_ctrl_c_is_no_traceback(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "arbonn"), "train", str(DIGITS), "--json", "--set", "train.epochs=2000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while running.stderr.readline() not in ("train ...\n", ""):
            pass  # a torch with CUDA first says that it found no device
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors == "Interrupted. The finished stages are kept: the same command goes on from there.\n"
    assert json.loads(output)["error"]["found"] == "interrupted"


def test_doctor_tells_what_is_missing_and_how_to_get_it() -> None:
    found = json.loads(arbonn("doctor", "--json").stdout)
    assert found["tools"]["torch"]["version"] is not None
    bare = arbonn("doctor", "--json", PATH="/nowhere")
    tools = json.loads(bare.stdout)["tools"]
    assert bare.returncode == 2  # no compiler
    assert tools["icarus"] == {
        "tool": "icarus",
        "version": None,
        "allows": "the same check on a second, independent simulator, and the check of the bitstream",
        "get": "sudo apt-get install iverilog",
        "optional": True,
    }
    assert tools["icebox_vlog"]["get"] == "sudo apt-get install fpga-icestorm"
    assert "MISSING, for Verilator; to get it: sudo apt-get install g++" in arbonn("doctor", PATH="/nowhere").stdout


def test_clean_shows_the_size_and_empties(tmp_path: Path) -> None:
    (tmp_path / "objects" / "train-1").mkdir(parents=True)
    (tmp_path / "objects" / "train-1" / "model.onnx").write_bytes(b"x" * 1000)
    expected = {"schema": 1, "store": str(tmp_path), "objects": 1, "bytes": 1000}
    dry = json.loads(arbonn("clean", "--dry-run", "--json", ARBONN_STORE=str(tmp_path)).stdout)
    assert dry == {**expected, "removed": False, "objects_left": 1}
    assert json.loads(arbonn("clean", "--json", ARBONN_STORE=str(tmp_path)).stdout) == {**expected, "removed": True, "objects_left": 0}
    assert list((tmp_path / "objects").iterdir()) == []
