"""Where files of data sets are looked for, and how what is read is verified. Nothing is ever downloaded."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from arbonn.errors import DataError
from arbonn.model.recipe import DataConfig

VARIABLE = "ARBONN_DATA"


def find(config: DataConfig, names: Sequence[str], get: str, beside: Sequence[str] = ()) -> Path:
    """The first of `names` (files or folders, the best one first) in data.root, or else in ARBONN_DATA or the folders `beside`.

    Raises DataError that says what was looked for, where, and `get`: where to get it.
    """
    named = (os.environ.get(VARIABLE), *beside) if config.root is None else (config.root,)
    folders = [Path(folder) for folder in named if folder]
    for folder in folders:
        for name in names:
            if (folder / name).exists():
                return folder / name
    looked = ", ".join(map(str, folders)) or f"no folder: neither data.root nor {VARIABLE} names one"
    raise DataError(
        f"data set {config.name}",
        found=f"{names[0]} is not there (looked in {looked})",
        allowed=", or ".join(names) + f", in the folder that data.root or {VARIABLE} names",
        fix=get,
    )


def verify(content: bytes, digest: str, where: Path, fix: str) -> None:
    """Raises DataError where the digest (SHA-256, or MD5 where that is what was published) of `content` is another."""
    algorithm = "md5" if len(digest) == 32 else "sha256"
    seen = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if seen != digest:
        found = f"{len(content)} bytes of {algorithm} {seen[:16]}..., so a damaged or another file"
        raise DataError(str(where), found=found, allowed=f"{algorithm} {digest}", fix=fix)


def read(path: Path) -> bytes:
    """A file's bytes, of a .gz what it holds. Raises DataError where it cannot be read to its end."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        found = "no such file" if not path.exists() else f"cannot be read to its end: {error}"
        raise DataError(str(path), found=found, allowed="a whole file", fix="get it again") from None


def read_idx(path: Path, digest: str, fix: str) -> npt.NDArray[np.uint8]:
    """An array in the byte format of MNIST (`idx`): 2 zero bytes, type 8, the number of axes, each size as 4 bytes, then the bytes."""
    content = read(path)
    verify(content, digest, path, fix)
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()  # bytes alone are read-only, which torch warns of
