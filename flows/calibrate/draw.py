"""Draws the units of the sweep: out of the folded graphs of networks, and by hand the kinds that these networks do not have."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from arbonn.flows.calibrate.networks import FITTED, designs
from arbonn.flows.calibrate.spec import spec_of, unit_of
from arbonn.flows.progress import Report, silent

Spec = dict[str, Any]
MOST = {"MVAU": 22, "SWG": 8, "FIFO": 7, "DWC": 4}
OTHERS = 3  # of any other kind
WIDEST = 400  # bits of an MVAU's products: more take minutes to synthesise, and teach nothing new


def drawn(report: Report = silent, seed: int = 0) -> list[Spec]:
    """The specs of the sweep, the same for equal seeds."""
    found: dict[str, Spec] = {}
    for done, network in enumerate(FITTED):
        report("networks", done / len(FITTED))
        for _, graph in designs(network):
            specs = [spec_of(node, graph.ports(node)) for node in graph.nodes]
            found |= {json.dumps(spec, sort_keys=True): spec for spec in specs}
    report("networks", 1.0)
    names, counts, kept = sorted(found), Counter[str](), [*by_hand()]
    random.Random(seed).shuffle(names)
    for name in names:
        spec = found[name]
        if counts[spec["kind"]] < MOST.get(spec["kind"], OTHERS) and _size(spec) <= WIDEST:
            counts[spec["kind"]] += 1
            kept.append(spec)
    return sorted(kept, key=lambda spec: (spec["kind"], json.dumps(spec, sort_keys=True)))


def _size(spec: Spec) -> int:
    if spec["kind"] != "MVAU":
        return 0
    _, ports = unit_of(spec)
    return ports["i"].width * ports["o"].lanes * len(ports)


def by_hand() -> list[Spec]:
    """Units of kinds that come from networks of other people, from run-time weights and from unrolling."""
    found = [
        _spec("VVAU", _linear(c, 9, 1, 2, group=0), i=[[6, 6, 9 * c], "BIPOLAR", n], o=[[6, 6, c], "BIPOLAR", n])
        for c, n in ((8, 2), (16, 16), (24, 6), (32, 4))
    ]
    found += [
        _spec("VVAU", _linear(c, 9, 7, 2, group=0), i=[[4, 4, 9 * c], "UINT4", n], o=[[4, 4, c], "UINT3", n]) for c, n in ((8, 4), (12, 3))
    ]
    for kind, inputs, n in (("UINT4", 2, 4), ("BIPOLAR", 2, 8), ("INT3", 4, 2)):
        whole, part = [[4, 4, inputs * 8], kind, n], [[4, 4, 8], kind, n]
        found.append(_spec("Concat", {"inputs": inputs, "depth": 1}, o=whole, **{f"i{k}": part for k in range(inputs)}))
        found.append(_spec("Split", {"outputs": inputs, "depth": 1}, i=whole, **{f"o{k}": part for k in range(inputs)}))
    for c in (8, 24):
        pixel = [[4, 4, c], "UINT2", c]
        found.append(_spec("Shuffle", {"order": {"shape": [c]}, "depth": 1}, i=pixel, o=pixel))
    for size, c, kind, n in ((8, 8, "BIPOLAR", 2), (12, 3, "UINT8", 3), (7, 16, "UINT4", 4)):
        padding = {"padding": [1, 1, 1, 1], "value": -1 if kind == "BIPOLAR" else 0, "depth": 1}
        found.append(_spec("FMPadding", padding, i=[[size, size, c], kind, n], o=[[size + 2, size + 2, c], kind, n]))
    for kind, wider, n in (("UINT4", "UINT5", 4), ("INT6", "INT7", 16), ("INT3", "INT4", 2)):
        term = [[4, 4, 16], kind, n]
        found.append(_spec("AddStreams", {"inputs": 2, "depth": 1}, i0=term, i1=term, o=[[4, 4, 16], wider, n]))
    for rows, low, kind, out, n in ((1, 0, "UINT6", "INT9", 2), (32, -32, "INT6", "UINT4", 4), (32, 0, "UINT6", "INT8", 1)):
        found.append(_spec("Lookup", {"table": {"shape": [rows, 64]}, "low": low, "depth": 1}, i=[[32], kind, n], o=[[32], out, n]))
    for mh, mw, pe, simd in ((32, 64, 4, 8), (64, 64, 8, 32), (16, 48, 2, 6)):
        runtime = _linear(mh, mw, 1, 3, parameters="runtime")
        found.append(_spec("MVAU", runtime, i=[[mw], "BIPOLAR", simd], o=[[mh], "BIPOLAR", pe]))
    for mh, mw, pe, simd, kind, out, count in ((24, 72, 4, 6, "UINT3", "UINT2", 3), (32, 96, 4, 4, "INT4", "UINT3", 7)):
        found.append(_spec("MVAU", _linear(mh, mw, count, 4), i=[[mw], kind, simd], o=[[mh], out, pe]))
    for mh, mw, depth in ((8, 16, 1), (16, 32, 2), (24, 24, 3)):
        unrolled = _linear(mh, mw, 1, depth, seed=0, primitives=False, moves=20)
        found.append(_spec("UnrolledMVAU", unrolled, i=[[mw], "BIPOLAR", mw], o=[[mh], "BIPOLAR", mh]))
    for mh, mw, each, depth, primitives in (
        (96, 64, 6, 1, True),
        (64, 48, 4, 1, False),
        (40, 60, 6, 1, False),
        (16, 64, 20, 2, False),
        (12, 48, 16, 2, True),
    ):
        sparse = _linear(mh, mw, 1, depth, connections=each, type="TERNARY", domain="dot", seed=0, primitives=primitives, moves=20)
        found.append(_spec("UnrolledMVAU", sparse, i=[[mw], "BIPOLAR", mw], o=[[mh], "BIPOLAR", mh]))
    for mh, mw, each, pe, simd, parallel in ((32, 64, 5, 1, 8, 1), (64, 48, 3, 2, 4, 3), (48, 96, 4, 4, 16, 1)):
        sparse = _linear(mh, mw, 1, 3, connections=each, type="TERNARY", domain="dot", parallel=parallel)
        found.append(_spec("SparseMVAU", sparse, i=[[mw], "BIPOLAR", simd], o=[[mh], "BIPOLAR", pe]))
    for mh, mw, pe, simd, depth in ((32, 128, 2, 32, 5), (16, 96, 4, 16, 6), (24, 64, 1, 64, 8)):
        for primitives in (False, True):
            piped = _linear(mh, mw, 1, depth) | ({"primitives": True} if primitives else {})
            found.append(_spec("MVAU", piped, i=[[mw], "BIPOLAR", simd], o=[[mh], "BIPOLAR", pe]))
    for mh, mw, pe, simd, depth in ((32, 128, 2, 32, 3), (16, 96, 4, 16, 3), (10, 64, 10, 16, 3), (24, 64, 1, 64, 5), (48, 72, 3, 8, 3)):
        wide = _linear(mh, mw, 1, depth, lut_inputs=6)
        found.append(_spec("MVAU", wide, i=[[mw], "BIPOLAR", simd], o=[[mh], "BIPOLAR", pe]))
    return found


def _linear(rows: int, columns: int, thresholds: int, depth: int, *, type: str = "BIPOLAR", connections: int = 0, **more: object) -> Spec:
    weights = {"shape": [rows, columns], **({"connections": connections} if connections else {})}
    common = {"weights": weights, "weight_dtype": {"type": type}, "domain": "popcount", "offset": 0}
    return {**common, "thresholds": {"shape": [rows, thresholds]}, "depth": depth, **more}


def _spec(kind: str, attributes: Spec, **ports: list[Any]) -> Spec:
    return {"kind": kind, "attributes": attributes, "ports": dict(sorted(ports.items()))}
