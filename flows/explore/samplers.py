"""Which of Optuna's samplers a search asks. `arbonn.flows.explore.judge` compares them on a space of which every point is known."""

from __future__ import annotations

import warnings
from typing import Literal

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

Sampler = Literal["tpe", "gp", "nsga2", "random"]


def sampler_of(name: Sampler, seed: int) -> BaseSampler:
    """The sampler of that name. Many trials at once: tpe and gp take what runs at the moment into account, the others need not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == "random":
            return RandomSampler(seed=seed)
        if name == "nsga2":
            return NSGAIISampler(population_size=16, seed=seed)
        if name == "gp":
            return GPSampler(seed=seed, n_startup_trials=10)
        return TPESampler(seed=seed, multivariate=True)
