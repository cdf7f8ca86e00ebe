"""A PostgreSQL of its own for a test: no port, a socket in a folder that goes away with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest


def missing() -> str:
    """Why there is none here; empty where there is."""
    if _program("initdb") is None or _program("postgres") is None:
        return "PostgreSQL is not installed"
    return "" if find_spec("psycopg") else "PostgreSQL's driver is not installed"


def _program(name: str) -> str | None:
    """Debian puts no server's programs on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(found[-1]) if found else None)


@contextmanager
def postgres() -> Iterator[str]:
    """A running server's URL."""
    folder = Path(tempfile.mkdtemp(prefix="arbonn-pg-"))
    user: dict[str, int] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    initdb, server = _program("initdb"), _program("postgres")
    assert initdb is not None
    assert server is not None
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **user}
    process = None
    try:
        subprocess.run([initdb, "-D", folder / "data", "-U", "arbonn", "-A", "trust", "--no-sync"], check=True, **quiet)  # type: ignore[call-overload]
        settings = ["-c", "listen_addresses=", "-c", "fsync=off"]
        process = subprocess.Popen([server, "-D", folder / "data", "-k", folder, *settings], **quiet)  # type: ignore[call-overload]
        for _ in range(200):
            if (folder / ".s.PGSQL.5432").exists():
                break
            if process.poll() is not None:
                pytest.fail("PostgreSQL ended at once")
            time.sleep(0.05)
        yield f"postgresql://arbonn@/postgres?host={folder}"
    finally:
        if process is not None:
            process.send_signal(2)  # fast shutdown: it does not wait for clients
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
