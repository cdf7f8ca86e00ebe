"""On a terminal a bar for each piece of work, and what is best so far; in a log one line for each."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from arbonn.flows.progress import MORE, shown

WORK = (
    "from arbonn.flows.progress import MORE, shown\n"
    "with shown() as report:\n"
    "    for k in range(5):\n"
    "        report(f'explore{MORE}{k} of 4 points, best luts {400 - k}', k / 4)\n"
    "    report('lower', 0.0)\n"
)


def test_a_log_has_a_line_for_each_work(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as report:
        for part in range(3):
            report(f"train{MORE}epoch {part}", part / 2)
        report("lower", 0.0)
    assert capsys.readouterr().err == "train ...\nlower ...\n"


def test_a_terminal_has_a_bar_with_the_time_left_and_the_best_so_far() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", WORK], stderr=theirs, env={**os.environ, "COLUMNS": "80", "TERM": "xterm"}) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                block = os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            seen += block
    os.close(ours)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    bars = [line for line in re.split(r"[\r\n]+", text) if line.startswith("explore ")]
    assert re.fullmatch(r"explore +━+ 100% 0:00:0\d 0:00:00 *", bars[-1])
    assert re.search(r"\nexplore: 4 of 4 points, best luts 396 *\r?\n*$", text)
    assert re.search(r"\nlower +━+ +0:00:0\d *\r\n", text)  # nothing is known of its end
