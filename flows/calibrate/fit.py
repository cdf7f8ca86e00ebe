"""Fits LUTs for each part to the sweep of a family: non-negative least squares of relative errors; and how far off the result is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from arbonn.flows.calibrate.shipped import Sweep
from arbonn.flows.calibrate.spec import unit_of
from arbonn.hw.cost.cost import FAMILIES, PARTS

SMALL = 15.0  # LUTs: below, an error counts as if the unit had so many more
# LUTs of a part where too few units tell, from how it is built: 1 but for these.
USUAL = {
    "port": 2.0, "uneven index": 0.3, "condition": 0.3, "exclusive or": 0.6, "threshold": 0.8, "fixed threshold": 0.5,
    "padding": 0.5, "register multiplexer": 0.6, "uneven table rest": 0.3,
}  # fmt: skip
COUNTED = {"LUT RAM": 1.0, "LUT cell": 1.0}  # parts that are LUTs already
TRUST = 0.3  # in the usual value, beside what the units say


def fitted(amounts: Sequence[Mapping[str, float]], luts: Sequence[float]) -> dict[str, float]:
    """LUTs of each part that makes sum(part * amount) closest to `luts`, unit by unit."""
    names = sorted({name for unit in amounts for name in unit if name not in COUNTED})
    whole = np.asarray(luts, dtype=float)
    y = whole - [sum(COUNTED[name] * unit.get(name, 0.0) for name in COUNTED) for unit in amounts]
    x = np.array([[unit.get(name, 0.0) for name in names] for unit in amounts])
    weight = 1 / (whole + SMALL)
    rows, goal = x * weight[:, None], y * weight
    usual = TRUST * np.sqrt((rows**2).sum(axis=0))
    found, _ = nnls(np.vstack([rows, np.diag(usual)]), np.concatenate([goal, usual * [USUAL.get(name, 1.0) for name in names]]))
    return COUNTED | {name: round(float(value), 4) for name, value in zip(names, found, strict=True)}


def coefficients(sweep: Sweep) -> dict[str, dict[str, float]]:
    """LUTs of every part by family, fitted to all units and to the networks that are not held out."""
    found = {}
    for family in FAMILIES:
        made_of, luts = list[Mapping[str, float]](), list[float]()
        for unit in sweep.units:
            if family in unit.cells:
                node, ports = unit_of(unit.spec)
                made_of.append(node.parts(ports, family).amounts)
                luts.append(unit.cells[family]["luts"])
        for each in sweep.networks:
            if family in each.cells and not each.held_out:
                made_of.append(each.parts(family).amounts)
                luts.append(each.cells[family]["luts"])
        known = fitted(made_of, luts) if luts else {}
        assert set(known) <= set(PARTS)
        found[family] = {name: known.get(name, USUAL.get(name, 1.0)) for name in PARTS}
    return found


def estimated(amounts: Mapping[str, float], luts: Mapping[str, float]) -> float:
    """LUTs of parts under coefficients."""
    return sum(luts[name] * amount for name, amount in amounts.items())


def errors(guessed: Sequence[float], seen: Sequence[float]) -> tuple[float, float, float]:
    """(median, 95th percentile, greatest) of |guessed - seen| / seen; 0 where both are 0, 1 where only `seen` is."""
    relative = [abs(g - s) / s if s else float(g > 0) for g, s in zip(guessed, seen, strict=True)]
    return float(np.median(relative)), float(np.percentile(relative, 95)), max(relative)
