"""`folder`: any folder of pictures, a folder for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from arbonn.errors import DataError
from arbonn.files import sha256
from arbonn.model.data.dataset import Codes, DataSet, Split
from arbonn.model.data.pictures import SUFFIXES, read_picture
from arbonn.model.data.splits import held_out, three
from arbonn.model.recipe import DATASETS, DataConfig

LAYOUT = "root/CLASS/*.png, or root/train/CLASS/*.png, root/test/CLASS/*.png and, if there are any, root/val/CLASS/*.png"
PARTS = ("train", "val", "test")


@DATASETS.register("folder")
def folder(config: DataConfig) -> DataSet:
    """Pictures in `data.root`, a folder for each class, classes in the order of their names; grey or rgb, `data.colour`.

    root/train and root/test (and root/val) are taken as the split that they are; else the split is drawn by `split_seed`.
    """
    root = root_of(config, LAYOUT)
    parts = {part: root / part for part in PARTS if (root / part).is_dir()}
    if parts and not {"train", "test"} <= set(parts):
        raise DataError(str(root), found=f"a folder {', '.join(parts)} alone", allowed=LAYOUT)
    names = class_names(parts.get("train", root), LAYOUT)
    reader = Reader(config)
    if not parts:
        whole = reader.split(root, names)
        train, val, test = three(whole, config)
    else:
        train, test = reader.split(parts["train"], names), reader.split(parts["test"], names)
        if "val" in parts:
            val = reader.split(parts["val"], names)
        else:
            train, val, test = held_out(train, test, config)
    return DataSet("folder", "uint8,scale=1/255", reader.shape, 255, (1.0, 255.0), len(names), train, val, test)


def fingerprint(config: DataConfig) -> str:
    """SHA-256 over names of all folders, names and bytes of all pictures: what a result made from them depends on."""
    root, digest = root_of(config, LAYOUT), hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_dir() and not path.name.startswith("."):  # an empty one is an error, which no result in the store may hide
            digest.update(f"{path.relative_to(root).as_posix()}/\0".encode())
    for path in _pictures(root, "**/*"):
        digest.update(f"{path.relative_to(root).as_posix()}\0{sha256(path)}\0".encode())
    return digest.hexdigest()


folder.fingerprint = fingerprint


def root_of(config: DataConfig, layout: str) -> Path:
    """`data.root`, a folder; `layout` says in errors what must be in it."""
    if config.root is None:
        raise DataError("data.root", found="nothing", allowed=f"a folder of pictures: {layout}", fix="set data.root")
    root = Path(config.root)
    if not root.is_dir():
        raise DataError(f"data.root: {root}", found="no such folder" if not root.exists() else "not a folder", allowed=layout)
    return root


def subfolders(root: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones."""
    return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def class_names(root: Path, layout: str) -> list[str]:
    """Names of the classes; two at least."""
    names = subfolders(root)
    if len(names) < 2:
        raise DataError(str(root), found=f"{len(names)} folders of classes", allowed=f"at least 2: {layout}")
    return names


def _pictures(root: Path, pattern: str) -> Iterator[Path]:
    yield from (path for path in sorted(root.glob(pattern)) if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


class Reader:
    """Reads pictures of one size and one kind: what the recipe wants, else what the first picture is."""

    def __init__(self, config: DataConfig) -> None:
        self.colour, self.size = config.colour, config.size
        self.shape: tuple[int, ...] = ()
        self.first = Path()

    def split(self, root: Path, names: list[str]) -> Split:
        strange = sorted(set(subfolders(root)) - set(names))
        if strange:
            raise DataError(str(root / strange[0]), found="a class that the training images lack", allowed=", ".join(names))
        codes, labels = list[Codes](), list[int]()
        for label, name in enumerate(names):
            paths = list(_pictures(root / name, "*"))
            if not paths:
                raise DataError(str(root / name), found="a class with no picture", allowed=f"files of {', '.join(SUFFIXES)}")
            codes += [self.read(path) for path in paths]
            labels += [label] * len(paths)
        rows = np.stack(codes).reshape(len(codes), -1)
        return Split(rows, np.array(labels, np.int64), np.zeros(len(rows), np.int64))

    def read(self, path: Path) -> Codes:
        codes = read_picture(path, self.colour, self.size)
        if not self.shape:
            self.shape, self.first = codes.shape, path
            self.colour = "grey" if len(codes) == 1 else "rgb"
        if codes.shape != self.shape:
            sizes = ["{1}x{2}".format(*shape) for shape in (codes.shape, self.shape)]
            raise DataError(
                str(path),
                found=f"a picture of {sizes[0]} pixels",
                allowed=f"{sizes[1]}, as {self.first} has",
                fix=f"data.size = [{self.shape[1]}, {self.shape[2]}] resizes all to one size",
            )
        return codes
