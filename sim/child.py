"""The child of `arbonn.sim.runner`: `python -m arbonn.sim.child JOB` compiles or simulates in a process of its own.

cocotb's runner reads and writes the process environment (MAKEFLAGS of a calling `make`, WAVES, PYTEST_CURRENT_TEST), so it gets one that
holds only what it needs and dies with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

VERILATOR_ARGS = ["--timing", "-O3", "-Wno-fatal", "-Wno-WIDTH", "--x-assign", "unique"]
MAIN_FILE = "bulk.cpp"
RANDOM_X = ["+verilator+rand+reset+2", "+verilator+seed+1"]  # what is X in a four-state simulator is drawn, not 0


@dataclass(frozen=True)
class Job:
    """What a child does in `folder`: compile `sources`, or run the cocotb module `test` on what was built in `build`, or a `command`."""

    simulator: Literal["verilator", "icarus"]
    build: str
    folder: str
    top: str
    sources: tuple[str, ...] = ()
    public: str = ""
    waves: bool = False
    test: str = ""
    plusargs: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def _watch_parent(lifeline: int) -> None:
    """Ends this process group when the parent is gone, however it went: the other end of its pipe closes with it."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def _main(job: Job) -> None:
    lifeline = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_watch_parent, args=(lifeline,), daemon=True).start()
    if job.command:
        sys.exit(subprocess.run(job.command, check=False).returncode)

    from cocotb_tools import runner  # the parent has no need of it

    class Verilator(runner.Verilator):
        """cocotb's, but with one public signal instead of all, and a main program that knows of it: twice as fast."""

        def _build_command(self) -> list[list[str]]:
            verilate, make = super()._build_command()
            kept = [word for word in verilate if word != "--public-flat-rw" and Path(word).name != "verilator.cpp"]
            return [[*kept, *(str(Path(job.build) / name) for name in (MAIN_FILE, "public.vlt"))], make]

    chosen = Verilator() if job.simulator == "verilator" else runner.Icarus()
    if job.test:
        plusargs = [*job.plusargs, *(RANDOM_X if job.simulator == "verilator" else [])]
        waves = job.waves and job.simulator == "icarus"  # Verilator's would be cocotb's own dump, of everything
        chosen.test(
            job.test, job.top, hdl_toplevel_lang="verilog", build_dir=job.build, test_dir=job.folder, plusargs=plusargs, waves=waves
        )
    else:
        verilator = job.simulator == "verilator"
        chosen.build(
            sources=[Path(job.build) / name for name in job.sources],
            hdl_toplevel=job.top,
            build_dir=job.build,
            build_args=VERILATOR_ARGS if verilator else [],
            timescale=("1ns", "1ps"),  # Amaranth's Verilog has none
            waves=job.waves and verilator,
        )


if __name__ == "__main__":
    try:
        _main(Job(**json.loads(sys.argv[1])))
    except RuntimeError as error:  # a command that failed has said why above; a traceback would only hide it
        sys.exit(str(error))
