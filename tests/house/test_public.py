"""`import arbonn`: nothing heavy is loaded, every name is there, and every function says what it gives."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import arbonn

SOURCE = Path(arbonn.__file__).read_text(encoding="utf-8")
COMMANDS = {"build", "check", "cmvm", "compare", "explain", "explore", "export", "infer", "lower", "report", "run", "train"}


def test_importing_it_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules)\nimport arbonn; dir(arbonn)\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names == {"arbonn"}
    assert done.stdout.count("arbonn") == 1


@pytest.mark.parametrize("name", arbonn.__all__)
def test_every_name_is_there_and_typed(name: str) -> None:
    found = getattr(arbonn, name)
    assert re.search(rf"^    from \S+ import \w+ as {name}$", SOURCE, re.MULTILINE), "type checkers read the list of imports"
    assert inspect.getdoc(found)
    if inspect.isfunction(found):
        assert found.__annotations__["return"] not in ("Any", "object", *(["None"] if name != "to_qonnx" else []))  # it writes a file


def test_what_the_command_line_runs_is_a_function_here() -> None:
    assert set(arbonn.__all__) >= COMMANDS
    with pytest.raises(AttributeError, match="module 'arbonn' has no attribute 'trian'"):
        arbonn.trian  # noqa: B018
