"""Images for measures: varied by an augmentation, and what the network answers to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from arbonn.model import data as datasets
from arbonn.model.data import Codes, Split
from arbonn.model.layers import SignActivation
from arbonn.model.measures.base import Scene


def varied(scene: Scene, split: Split, name: str, count: int) -> Codes:
    """The first `count` images of `split` as the augmentation `name` shows them in epoch 0 of the measures' seed."""
    index = np.arange(count)
    return datasets.augment(replace(scene.data, train=split), (name,), np.zeros(count, np.int64), index, scene.config.seed, 0)


def inputs(scene: Scene, codes: Codes) -> Tensor:
    """Codes as the floats that the network takes, on its device."""
    return torch.from_numpy(scene.data.to_float(codes)).to(scene.device)


@torch.no_grad()
def shown_bits(scene: Scene, codes: Codes) -> Tensor:
    """Every activation bit of every hidden layer, (N, bits) bool, in evaluation mode."""
    seen: list[Tensor] = []
    signs = [module for module in scene.network.modules() if isinstance(module, SignActivation)]
    hooks = [sign.register_forward_hook(lambda module, given, out: seen.append((out > 0).flatten(1))) for sign in signs]
    try:
        scene.network(inputs(scene, codes))
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(seen, 1)


@torch.no_grad()
def error(scene: Scene, codes: Codes, labels: Tensor, batch: int = 1000) -> float:
    """Share of wrong answers in evaluation mode, the lowest class winning a tie."""
    wrong = [
        (scene.network(inputs(scene, part)).argmax(1) != truth).sum()
        for part, truth in zip(np.split(codes, range(batch, len(codes), batch)), labels.split(batch), strict=True)
    ]
    return float(torch.stack(wrong).sum()) / len(codes)
