"""What a unit takes on a family of devices, and the parts that it is made of.

LUTs are estimated as a sum over parts: a unit says how much of each it has (bits of adders, of comparators, of counters, …), and
`coefficients.json` how many LUTs each takes on a family. The coefficients are fitted to synthesis (`make cost-model`, docs/cost.md). Parts
are shared between units, so a new unit that is made of known ones is estimated at once. Flip-flops and block RAMs are counted, not fitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from arbonn.errors import GraphError

FITTED = Path(__file__).with_name("coefficients.json")
SCHEMA = 1
CALIBRATED = "fitted to synthesis (docs/cost.md)"
FAMILIES = ("ice40", "ecp5", "gowin", "xc7")
ALIKE = {"xcup": "xc7"}  # UltraScale+ has the same LUTs of 6 inputs and the same blocks; it has no sweep of its own


PARTS = {
    "unit": "a unit, whatever it does",
    "port": "handshake of a port",
    "index": "counters of loops, and pointers that count up",
    "uneven index": "those of them that wrap before a power of two",
    "condition": "comparisons of an index or a form with constants",
    "form": "accumulators of sums of indices",
    "counter": "up and down counters between schedules",
    "need": "comparisons of a counter with a form",
    "addition": "what schedules add to counters, chosen by the loops that wrap",
    "address": "addresses modulo a memory's size",
    "adder": "adders",
    "exclusive or": "gates of XNOR products, and full adders by those of their sums",
    "product": "products of numbers of more than a bit, bits times bits",
    "fixed product": "the same by constants",
    "accumulator": "adders with a register that begins anew",
    "threshold": "comparisons with thresholds from a table",
    "fixed threshold": "comparisons with constants",
    "comparator": "other comparisons",
    "level": "counts of the thresholds that are reached",
    "maximum": "comparisons and the choice of the greater",
    "multiplexer": "choices of one of two",
    "padding": "choices between data and constants",
    "table bit": "bits of a word of a table in LUTs that differ from each other",
    "table rest": "runs of 16 words of those bits that differ from each other, beyond one LUT",
    "number table rest": "the same of tables that give a number for a number",
    "uneven table rest": "those of tables whose words are no power of two",
    "LUT RAM": "LUTs of LUT RAM, as counted",
    "enable": "write enables of rows of LUT RAM",
    "register words": "words of a memory in registers",
    "register multiplexer": "choices of a word of such a memory",
    "bypass": "what gives a block RAM's reader the word that is being written, or keeps it away",
    "LUT cell": "LUTs of primitives, as counted",
    "netlist LUT": "LUTs and carry positions of a netlist for 7-series that became logic",
    "wide netlist LUT": "those of its LUTs that have 5 or 6 inputs",
}


@dataclass(frozen=True)
class Cost:
    """What a unit takes on a target: flip-flops and memory as counted, LUTs as an estimate whose source is named."""

    luts: float
    ffs: int
    memory_bits: int
    brams: int
    source: str

    def __add__(self, other: Cost) -> Cost:
        """A sum is calibrated if both are."""
        return Cost(
            self.luts + other.luts, self.ffs + other.ffs, self.memory_bits + other.memory_bits, self.brams + other.brams,
            other.source if self.calibrated else self.source,
        )  # fmt: skip

    @property
    def calibrated(self) -> bool:
        """False for an estimate of a unit's own, which no synthesis stands behind."""
        return self.source == CALIBRATED


NOTHING = Cost(0, 0, 0, 0, CALIBRATED)


@dataclass(frozen=True)
class Parts:
    """What a unit is made of. `amounts`: of each of PARTS whose LUTs are fitted, in bits where it has some."""

    amounts: Mapping[str, float] = field(default_factory=dict)
    ffs: int = 0
    memory_bits: int = 0
    brams: int = 0

    def __add__(self, other: Parts) -> Parts:
        amounts = dict(self.amounts)
        for name, amount in other.amounts.items():
            amounts[name] = amounts.get(name, 0.0) + amount
        return Parts(amounts, self.ffs + other.ffs, self.memory_bits + other.memory_bits, self.brams + other.brams)

    def __mul__(self, times: int) -> Parts:
        amounts = {name: amount * times for name, amount in self.amounts.items()}
        return Parts(amounts, self.ffs * times, self.memory_bits * times, self.brams * times)


def amounts(ffs: int = 0, **bits: float) -> Parts:
    """Parts by name; an underscore stands for a space."""
    return Parts({name.replace("_", " "): amount for name, amount in bits.items() if amount}, ffs)


def family(target: str) -> str:
    """The family whose coefficients stand for `target`. Raises GraphError for one that has none."""
    name = ALIKE.get(target, target)
    if name not in FAMILIES:
        raise GraphError(f"family {target!r}", found="no cost model for it", allowed=", ".join((*FAMILIES, *ALIKE)))
    return name


@cache
def coefficients() -> dict[str, dict[str, float]]:
    """LUTs of each part by family, as they ship."""
    document: dict[str, Any] = json.loads(FITTED.read_text(encoding="utf-8"))
    assert document["schema"] == SCHEMA, f"{FITTED}: schema {document['schema']}"
    return {name: dict(found) for name, found in document["luts"].items()}


def priced(made_of: Parts, target: str) -> Cost:
    """The cost of parts on a family. Raises GraphError for an unknown family, or a part that no synthesis has measured."""
    known = coefficients()[family(target)]
    unknown = [name for name in made_of.amounts if name not in known]
    if unknown:
        raise GraphError(f"part {unknown[0]!r}", found="it has never been measured", allowed=", ".join(sorted(known)))
    luts = sum(known[name] * amount for name, amount in made_of.amounts.items())
    return Cost(luts, made_of.ffs, made_of.memory_bits, made_of.brams, CALIBRATED)
