"""What SBNN's share of ones costs where weights are wiring: LUTs of a drawn layer against EC, in both of its domains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arbonn.flows.progress import Report, silent
from arbonn.flows.results import Result
from arbonn.hw.cmvm.weighted import weighted

SHARES = (0.5, 0.25, 0.1, 0.05, 0.02)
Q, BITS = 9, 4  # of the general domain: shift = scale * Q / 2^BITS


class CurvePoint(Result):
    """A layer of `size` inputs and outputs, a share `ec` of whose weights are ones: LUTs and levels of its netlists, as 7-series cells."""

    ec: float
    size: int
    seed: int
    ones: int
    luts: int
    levels: int
    luts_general: int
    levels_general: int


def sbnn_curve(
    size: int = 128, shares: Sequence[float] = SHARES, *, seed: int = 0, moves: int = 2000, report: Report = silent
) -> list[CurvePoint]:
    """Bits in, bits out: a threshold at the mean of each neuron's sum. `moves` of the search for each output."""
    found = []
    for number, ec in enumerate(shares):
        report("SBNN's curve", number / len(shares))
        random = np.random.default_rng(seed)
        ones = (random.random((size, size)) < ec).astype(np.int64)
        thresholds = -(-ones.sum(axis=0) // 2)[:, None]
        plain = weighted(ones, (1,), thresholds, moves=moves, seed=seed).netlist.counts()
        general = np.where(ones == 1, Q + (1 << BITS), Q - (1 << BITS)).astype(np.int64)
        whole = -(-general.sum(axis=0) // 2)[:, None]
        shared = weighted(general, (1,), whole, moves=moves, seed=seed).netlist.counts()
        found.append(
            CurvePoint(
                ec=ec,
                size=size,
                seed=seed,
                ones=int(ones.sum()),
                luts=plain.luts,
                levels=plain.levels,
                luts_general=shared.luts,
                levels_general=shared.levels,
            )
        )
    report("SBNN's curve", 1.0)
    return found
