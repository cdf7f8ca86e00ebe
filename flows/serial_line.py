"""A serial port as the host sees it: bytes out, bytes in with a time limit."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import select
import time
from types import TracebackType
from typing import Protocol

from arbonn.errors import InputError, ToolError


class Line(Protocol):
    """What `arbonn.flows.infer` needs of a line; tests give one that ends in a simulation."""

    def write(self, data: bytes) -> None: ...

    def read(self, seconds: float) -> bytes:
        """What has come, after waiting up to `seconds` for a first byte; empty if none came."""
        ...


class SerialPort:
    """A port of this machine, 8N1 without flow control. POSIX: the line's settings are made with `termios`.

    Raises InputError for a port that is not there or may not be opened, ToolError where this system cannot set the rate.
    """

    def __init__(self, port: str, baud: int) -> None:
        try:
            import termios
        except ImportError:
            raise ToolError("serial port", found="this system has no termios", allowed="Linux, macOS (or Linux under WSL)") from None
        rate = getattr(termios, f"B{baud}", None)
        if rate is None:
            raise ToolError("serial port", found=f"this system's termios has no {baud} baud", allowed="Linux")
        try:
            self._handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise _explained(port, error) from None
        self.port = port
        try:
            settings = termios.tcgetattr(self._handle)
            control = termios.CS8 | termios.CREAD | termios.CLOCAL
            special = list(settings[6])
            termios.tcsetattr(self._handle, termios.TCSANOW, [0, 0, control, 0, rate, rate, special])  # raw: no byte has a meaning
        except termios.error as error:
            self.close()
            raise InputError("--port", found=f"{port!r} is no serial port ({error.args[-1]})", allowed=_ports()) from None

    def write(self, data: bytes) -> None:
        while data:
            select.select([], [self._handle], [], 1.0)
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._handle, data) :]

    def read(self, seconds: float) -> bytes:
        ready, _, _ = select.select([self._handle], [], [], seconds)
        try:
            return os.read(self._handle, 4096) if ready else b""
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # unplugged
                raise InputError("--port", found=f"{self.port!r} is gone", fix="plug the board in again") from None
            raise

    def close(self) -> None:
        os.close(self._handle)

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def quiet(line: Line, seconds: float, limit: float = 2.0) -> None:
    """Reads and forgets until nothing has come for `seconds`."""
    end = time.monotonic() + limit
    while line.read(seconds) and time.monotonic() < end:
        pass


def _ports() -> str:
    found = sorted(glob.glob("/dev/ttyUSB*") + glob.glob("/dev/ttyACM*") + glob.glob("/dev/cu.usb*"))
    return f"a port of this machine: {', '.join(found)}" if found else "a port of this machine (there is none now: plug the board in)"


def _explained(port: str, error: OSError) -> InputError:
    if error.errno == errno.EACCES:
        return InputError("--port", found=f"no right to open {port!r}", fix="sudo usermod -aG dialout $USER, then log in again")
    return InputError("--port", found=f"{port!r} cannot be opened ({error.strerror})", allowed=_ports())
