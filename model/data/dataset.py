"""A data set as integer codes: the hardware sees codes, so the data are codes from the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """codes: (N, ...) uint8. labels, domains: (N,) int64; a data set without domains of its own has domain 0 only."""

    codes: Codes
    labels: Ints
    domains: Ints

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Ints) -> Split:
        return Split(self.codes[rows], self.labels[rows], self.domains[rows])


@dataclass(frozen=True)
class DataSet:
    """Training, validation and test images. `high`: the largest code. `contract` says what a code means as a float: `to_float` is that.

    shape   (channels, height, width) of an image, or (height, width) of a grey one.
    codes   of each split: (N, features), features in the order of `shape`, or (N, channels, height, width) once `framed`.
    domain_names   what the numbers in `domains` stand for; none where a set has no domains of its own.
    """

    name: str
    contract: str
    shape: tuple[int, ...]
    high: int
    scale: tuple[float, float]
    classes: int
    train: Split
    val: Split
    test: Split
    domain_names: tuple[str, ...] = ()

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = (1, *self.shape)[-3:]
        return channels, height, width

    @property
    def frame(self) -> tuple[int, ...]:
        """The shape of one image's codes: (features,) or (channels, height, width)."""
        return self.train.codes.shape[1:]

    def to_float(self, codes: Codes) -> npt.NDArray[np.float32]:
        """The input contract: float32(code - zero) * float32(A) / float32(B), here with zero = 0 and scale = (A, B)."""
        return codes.astype(np.float32) * np.float32(self.scale[0]) / np.float32(self.scale[1])

    def framed(self, images: bool) -> DataSet:
        """The same codes as (N, channels, height, width), or as (N, features)."""
        shape = self.image if images else (-1,)
        return self.each(lambda split: replace(split, codes=split.codes.reshape(len(split), *shape)))

    def each(self, change: Callable[[Split], Split]) -> DataSet:
        """With every split changed."""
        return replace(self, train=change(self.train), val=change(self.val), test=change(self.test))


def grey(codes: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]) -> Split:
    """(N, height, width) and (N,), of any integer types, as a split of one domain."""
    return Split(np.ascontiguousarray(codes, np.uint8).reshape(len(codes), -1), labels.astype(np.int64), np.zeros(len(labels), np.int64))
