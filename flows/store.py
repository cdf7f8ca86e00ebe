"""The content store: what a stage made, kept under the hash of everything that decides it.

`objects/<key>` are finished and never change. `partial/<key>` is work in progress under a stable name, so that a killed training goes on
inside it; it is renamed to `objects/<key>` when the stage has finished. `locks/<key>` holds a lock while a process works on that key, so
two processes never do the same work twice nor at once. Nothing else is kept: to lose the store costs time only.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arbonn
from arbonn.errors import ArbonnError, InputError
from arbonn.files import sha256, write_text

PACKAGE = Path(arbonn.__file__).parent
RECORD = "stored.json"  # in each object: what decided it, the hash of each of its files, and a seal over both
FULL = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EISDIR)


def default_root() -> Path:
    """`ARBONN_STORE`, else the user's cache folder."""
    if given := os.environ.get("ARBONN_STORE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arbonn"


# Files of flows/ that parse, print and keep, and decide no result: a change in them invalidates nothing.
HOUSE = {
    "area.py",
    "bench",
    "bench_hw",
    "bootstrap.py",
    "calibrate",
    "cli.py",
    "cmvm.py",
    "commands",
    "compare",
    "doctor.py",
    "dry_run.py",
    "explain",
    "explore",
    "frontier.py",
    "frontier_page.py",
    "sbnn_curve.py",
    "export.py",
    "finn",
    "graph_page.py",
    "lut_table.py",
    "packaging",
    "progress.py",
    "report",
    "run.py",
    "same_network.py",
    "sharded.py",
    "show.py",
    "store.py",
    "templates",
    "zoo.py",
}


@functools.cache
def code_version(sources: Sequence[str]) -> str:
    """Hash of the project's own files under `sources` (folders or files, relative to the package): a changed line invalidates.

    Of a folder, what `HOUSE` names is left out.
    """
    digest = hashlib.sha256()
    for source in sources:
        root = (PACKAGE / source).resolve(strict=True)  # in a checkout the four folders are links
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts and (path == root or path.relative_to(root).parts[0] not in HOUSE):
                digest.update(f"{source}/{path.relative_to(root)}\0{sha256(path)}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Work:
    """What decides a stage's result.

    `inputs` hash by name; `parameters` plain JSON data; `versions` every tool that could change the outcome (None: absent);
    `sources` the project's folders and files that the stage runs.
    """

    stage: str
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any]
    versions: Mapping[str, str | None]
    sources: tuple[str, ...]
    resumable: bool = False  # what a killed or failed run left in its folder is handed to the next one

    def record(self) -> dict[str, Any]:
        """All of it as JSON data."""
        return {
            "stage": self.stage,
            "inputs": dict(self.inputs),
            "parameters": dict(self.parameters),
            "versions": dict(self.versions),
            "code": code_version(self.sources),
        }

    @property
    def key(self) -> str:
        """A file name: the stage, and a hash of the record."""
        text = json.dumps(self.record(), sort_keys=True, ensure_ascii=False, allow_nan=False)
        return f"{self.stage}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class Store:
    """A folder of results by content. Safe for many processes; every public method leaves it whole, also when killed."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or default_root()).absolute()

    def get(self, work: Work, make: Callable[[Path], None]) -> tuple[Path, bool]:
        """The object of `work` and whether it was there already; `make` fills the folder that it is given if not.

        Waits while another process makes the same object. Raises ArbonnError when the disk is full or the store cannot be written.
        """
        key = work.key
        target = self.root / "objects" / key
        if self._whole(target):
            return target, True
        with self._guard(key), self._locked(key):
            if self._whole(target):  # made by another process while this one waited
                return target, True
            shutil.rmtree(target, ignore_errors=True)  # files are missing from it
            partial = self._partial(key, work.resumable)
            try:
                make(partial)
                record = {**work.record(), "files": _hashes(partial)}
                write_text(partial / RECORD, json.dumps({**record, "seal": _seal(record)}, indent=1, ensure_ascii=False))
                target.parent.mkdir(parents=True, exist_ok=True)
                partial.rename(target)
            except BaseException:
                if not work.resumable:
                    shutil.rmtree(partial, ignore_errors=True)
                raise
        return target, False

    def find(self, work: Work) -> Path | None:
        """The object of `work`, if it is there."""
        target = self.root / "objects" / work.key
        return target if self._whole(target) else None

    def size(self) -> tuple[int, int]:
        """Objects (finished or not), and bytes."""
        folders = [f for kind in ("objects", "partial") for f in (self.root / kind).glob("*")]
        return len(folders), sum(p.stat().st_size for f in folders for p in f.rglob("*") if p.is_file() and not p.is_symlink())

    def clear(self) -> tuple[int, int]:
        """Removes all objects but those that a process works on now; returns what was removed, as `size` does."""
        objects, octets = self.size()
        for kind in ("objects", "partial"):
            for folder in (self.root / kind).glob("*"):
                with self._locked(folder.name.partition(".")[0], wait=False) as mine:
                    if mine and folder.is_dir():
                        shutil.rmtree(folder)
                    elif mine:  # no object of ours
                        folder.unlink()
        left = self.size()
        return objects - left[0], octets - left[1]

    def _partial(self, key: str, resumable: bool) -> Path:
        """The folder to work in. What cannot be resumed works under a name of its own: a simulator that outlived its killed parent may
        still write to the old one.
        """
        stable = self.root / "partial" / key
        if resumable:
            stable.mkdir(parents=True, exist_ok=True)
            return stable
        stable.parent.mkdir(parents=True, exist_ok=True)
        for old in stable.parent.glob("*.*-*"):  # of killed processes: nobody holds the lock on their keys, or we do
            other = old.name.partition(".")[0]
            with nullcontext(True) if other == key else self._locked(other, wait=False) as mine:
                if mine:
                    shutil.rmtree(old, ignore_errors=True)
        own = stable.with_name(f"{key}.{os.getpid()}-{time.monotonic_ns()}")
        own.mkdir()
        return own

    def _whole(self, target: Path) -> bool:
        """True when no byte of the object has changed since it was made: a damaged one is made again."""
        try:
            record = json.loads((target / RECORD).read_text(encoding="utf-8"))
            seal = record.pop("seal")
            return bool(seal == _seal(record)) and all(sha256(target / name) == found for name, found in record["files"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False

    @contextmanager
    def _locked(self, key: str, wait: bool = True) -> Iterator[bool]:
        """Holds the lock of `key`; the system lets go of it when the process dies. Yields False if it is taken and `wait` is False."""
        path = self.root / "locks" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with path.open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                except BlockingIOError:
                    yield False
                    return
                # The holder before us removed the file: this lock is on a name that is gone, and a third process may hold the new one.
                if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                    continue
                try:
                    yield True
                finally:
                    path.unlink(missing_ok=True)
                return

    @contextmanager
    def _guard(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise self._disk_full() from error
            if error.errno in UNWRITABLE and str(self.root) in str(error.filename):
                raise InputError(
                    str(self.root),
                    found=f"the store cannot be written ({os.strerror(error.errno)})",
                    allowed="a folder that you may write to",
                    fix="set ARBONN_STORE to another folder",
                ) from error
            raise
        except Exception as error:
            if self._free() < 1_000_000:  # a program or a library found the disk full and said so in its own way
                raise self._disk_full() from error
            raise

    def _free(self) -> int:
        return shutil.disk_usage(next(folder for folder in (self.root, *self.root.parents) if folder.exists())).free

    def _disk_full(self) -> ArbonnError:
        return InputError(
            str(self.root),
            found="the disk is full; nothing half-written was kept",
            allowed="about 1 GB for a run of the digits",
            fix="free some space (`arbonn clean` empties the store) or set ARBONN_STORE to a folder on another disk, and run again",
        )


def _hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def linkable(name: Path) -> None:
    """Raises InputError unless `name` is free for a link: a user's own file is never replaced. Makes the folder that it is in."""
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(name.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(str(name.parent), found=f"no folder for results ({why})", allowed="a folder that you may write to") from None
    if name.exists() and not name.is_symlink():
        what = "a folder" if name.is_dir() else "a file that arbonn did not make"
        raise InputError(str(name), found=f"{what} stands where a link should go", fix="remove it, or choose another --out")


def link(target: Path, name: Path) -> None:
    """Makes `name` a link to `target`, in place of any link that was there."""
    linkable(name)
    temporary = name.with_name(f".{name.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, name)
