"""What every test runs under: one thread a process, a store of its own, no random order of ideas in CI, no skip that CI did not expect."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):  # torch's threads spin when there are more jobs than cores: 8x slower
    os.environ.setdefault(variable, "1")

CI = "ARBONN_CI" in os.environ
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if CI else "here")

EXPECTED_SKIPS = {
    "ARBONN_DATA is not set": "the data files stand outside the project; .ci/run names their folder where it exists",
    "dataset-fashion-mnist is not installed": "a package of Debian's, of 30 MB; what reads it is tested on small files of its shape",
    "this Python has no tkinter": "its Tcl runs the script for Vivado; Debian has it in a package of its own",
    "IP-XACT's schema is not installed": "what it rules is tested by hand too: the order of parts, and that every name leads somewhere",
    "Chromium is not installed": "a browser of Debian's, of 300 MB; what it shows is tested as text too",
    "da4ml is not installed": "what others make of the same matrices is measured in `make bench-hw`, not in tests",
    "needs a GPU: torch sees none": "mixed precision on one; on a processor it is tested",
    "finn-base is not installed": "its last release is of 2021 and wants an older onnx: see constraints-finn-base.txt",
}
unexpected: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(expected in reason for expected in EXPECTED_SKIPS):
            unexpected.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if CI and unexpected:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CI and unexpected:
        terminalreporter.section("skips that CI did not expect")
        for line in unexpected:
            terminalreporter.line(line)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background by a shell: what tests start would ignore Ctrl-C too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def session_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One store for the session, shared by its worker processes: a network is trained once, the user's own store is left alone."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "store"
    before = os.environ.get("ARBONN_STORE")
    os.environ["ARBONN_STORE"] = str(root)
    yield root
    if before is None:
        del os.environ["ARBONN_STORE"]
    else:
        os.environ["ARBONN_STORE"] = before
