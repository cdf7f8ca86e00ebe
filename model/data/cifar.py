"""`cifar10` and `cifar100`: 32x32 colour images, 50,000 to train on and 10,000 to test on."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arbonn.errors import DataError
from arbonn.model.data.dataset import DataSet, Split
from arbonn.model.data.source import find, read, verify
from arbonn.model.data.splits import held_out
from arbonn.model.recipe import DATASETS, DataConfig

# MD5 of each batch, as the set's page and everyone who reads it gives them.
TEN = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
HUNDRED = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
GET = "get the python version from https://www.cs.toronto.edu/~kriz/cifar.html; the .tar.gz may stay packed"


@DATASETS.register("cifar10")
def cifar10(config: DataConfig) -> DataSet:
    """CIFAR-10 (A. Krizhevsky, 2009), the python version: `cifar-10-batches-py` or `cifar-10-python.tar.gz`."""
    return _load(config, "cifar-10-batches-py", "cifar-10-python.tar.gz", TEN, b"labels", 10)


@DATASETS.register("cifar100")
def cifar100(config: DataConfig) -> DataSet:
    """CIFAR-100 (A. Krizhevsky, 2009), the python version, fine labels: `cifar-100-python` or `cifar-100-python.tar.gz`."""
    return _load(config, "cifar-100-python", "cifar-100-python.tar.gz", HUNDRED, b"fine_labels", 100)


def _load(config: DataConfig, folder: str, archive: str, digests: Mapping[str, str], labels: bytes, classes: int) -> DataSet:
    path = find(config, (folder, archive), GET)
    parts: dict[bool, list[Split]] = {False: [], True: []}
    contents = _members(path, folder, digests) if path.is_file() else {name: read(path / name) for name in digests}
    for name, digest in digests.items():
        verify(contents[name], digest, path / name, GET)
        batch = _Plain(io.BytesIO(contents[name]), encoding="bytes").load()
        codes, classed = np.asarray(batch[b"data"], np.uint8), np.asarray(batch[labels], np.int64)
        parts[name.startswith("test")].append(Split(codes, classed, np.zeros(len(codes), np.int64)))
    train, test = (_joined(parts[which]) for which in (False, True))
    return DataSet(config.name, "uint8,scale=1/255", (3, 32, 32), 255, (1.0, 255.0), classes, *held_out(train, test, config))


def _joined(parts: list[Split]) -> Split:
    codes, labels, domains = (np.concatenate([getattr(part, name) for part in parts]) for name in ("codes", "labels", "domains"))
    return Split(codes, labels, domains)


def _members(archive: Path, folder: str, names: Mapping[str, str]) -> dict[str, bytes]:
    """The batches in a .tar.gz, by name; nothing is unpacked to disk."""
    try:
        with tarfile.open(archive) as tar:
            files = {name: tar.extractfile(f"{folder}/{name}") for name in names}
            return {name: file.read() for name, file in files.items() if file is not None}
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise DataError(str(archive), found=f"cannot be read to its end: {error}", allowed="the whole archive", fix=GET) from None


class _Plain(pickle.Unpickler):
    """Reads arrays and plain values, and runs nothing else that a pickle may name: on top of the checksum."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.removeprefix("numpy."), name) in (("core.multiarray", "_reconstruct"), ("_core.multiarray", "_reconstruct")):
            return np.zeros(0).__reduce__()[0]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode(encoding)
        raise pickle.UnpicklingError(f"{module}.{name} is no array")
