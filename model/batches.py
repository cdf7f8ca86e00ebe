"""Batches of an epoch: a function of (seed, epoch, step) alone, so that a resumed run sees what an uninterrupted one would have seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from arbonn.errors import TrainError
from arbonn.model import data as datasets
from arbonn.model import networks
from arbonn.model.data import Codes, DataSet, Split
from arbonn.model.methods.base import Method
from arbonn.model.recipe import TrainConfig, TrainRecipe


def load(recipe: TrainRecipe) -> DataSet:
    """The data set of a recipe, its codes framed as the recipe's network takes them."""
    return datasets.load(recipe.data).framed(networks.takes_images(recipe.network))


class Frames:
    """Images as codes on a device; floats are made of those that are asked for, by the input contract."""

    def __init__(self, data: DataSet, codes: Codes, device: torch.device) -> None:
        self.device = device
        self.codes = torch.from_numpy(codes).to(device)
        # A table, so that every device gives the floats that numpy gives.
        self.values = torch.from_numpy(data.to_float(np.arange(data.high + 1, dtype=np.uint8))).to(device)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        return self.values[self.codes[rows].int()]  # bytes would be a mask

    def split(self, size: int) -> Iterator[Tensor]:
        """Floats of `size` images at a time, in order."""
        for first in range(0, len(self), size):
            yield self[first : first + size]


def steps_per_epoch(split: Split, config: TrainConfig) -> int:
    steps = len(split) // config.batch  # a smaller last batch would unbalance domains and batch statistics
    if steps == 0:
        raise TrainError("train.batch", found=f"{config.batch}", allowed=f"at most {len(split)}, the number of training images")
    return steps


def domain_count(recipe: TrainRecipe, data: DataSet) -> int:
    own = int(data.train.domains.max()) + 1
    return own if own > 1 else len(recipe.data.augment)


def batches(
    recipe: TrainRecipe, data: DataSet, method: Method, epoch: int, first: int, device: torch.device
) -> Iterator[tuple[int, tuple[Tensor, Tensor, Tensor]]]:
    """(step, (inputs, labels, domains)) of an epoch from step `first` on.

    Position p of the order takes augmentation p mod count, so every batch holds the same share of each; without domains of its
    own, the data set's domains are the augmentations.
    """
    names, batch = recipe.data.augment, recipe.train.batch
    permutation = np.random.default_rng((recipe.seed, epoch)).permutation(len(data.train))
    order = method.sampler(data.train.domains, permutation)
    own = data.train.domains[order]
    own_count = int(data.train.domains.max()) + 1
    choice = np.arange(len(order)) // own_count % len(names)  # every domain of the data set meets every augmentation
    domains = own if own_count > 1 else choice
    for step in range(first, steps_per_epoch(data.train, recipe.train)):
        rows = slice(step * batch, (step + 1) * batch)
        inputs = data.to_float(datasets.augment(data, names, choice[rows], order[rows], recipe.seed, epoch))
        labels = data.train.labels[order[rows]]
        yield step, tuple(torch.from_numpy(array).to(device) for array in (inputs, labels, domains[rows]))


def tensors(data: DataSet, split: Split, device: torch.device) -> tuple[Frames, Tensor]:
    """(inputs, labels) of a split on a device."""
    return Frames(data, split.codes, device), torch.from_numpy(split.labels).to(device)
