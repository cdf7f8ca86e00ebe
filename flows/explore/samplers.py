"""Which of Optuna's samplers a search asks. `arbonn.flows.explore.judge` compares them on a space of which every point is known."""

from __future__ import annotations

from typing import Literal

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

Sampler = Literal["tpe", "nsga2", "random"]


def sampler_of(name: Sampler, seed: int) -> BaseSampler:
    """The sampler of that name.

    tpe looks at each axis by itself: with `multivariate` it found less of the shipped space. It counts what runs at the moment as bad, so
    that many trials at once are spread.
    """
    if name == "random":
        return RandomSampler(seed=seed)
    if name == "nsga2":
        return NSGAIISampler(population_size=16, seed=seed)
    return TPESampler(seed=seed)
