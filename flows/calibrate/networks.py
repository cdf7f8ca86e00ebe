"""The networks that the cost model is fitted to and judged by, as they lower, at several foldings that no cost model had a say in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from arbonn.flows.buffers import busy, busy_cycles, size_buffers
from arbonn.flows.cmvm import PRIMITIVES
from arbonn.flows.folding import Folding, apply_folding, entries, port_lanes
from arbonn.flows.lowering.lower import LowerOptions, lower
from arbonn.flows.lowering.passes import run_passes
from arbonn.flows.lowering.passes.engines import Engines
from arbonn.hw.graph import DataflowGraph, Node
from arbonn.hw.units.mvau import MVAU
from arbonn.hw.units.vvau import VVAU

ZOO = Path("zoo")
WIDEST = 400  # bits of products a cycle: of more than that a design takes more than some minutes to synthesise


@dataclass(frozen=True)
class Network:
    """A network of `network.name` and options, untrained but for norms that have seen noise, from seed 0; or one of the zoo (no options).

    faster  by what its slowest folding is sped up: one design each.
    """

    name: str
    image: tuple[int, int, int] = (0, 0, 0)
    contract: str = "uint8,scale=1/255"
    options: Mapping[str, Any] | None = None
    faster: tuple[int, ...] = (16, 128)


# Not one of them is held out, and no held-out one is here: no two of both have layers of the same widths.
FITTED = (
    Network("mlp-48-96", (1, 8, 8), "uint5,scale=1/16", {"name": "mlp", "sizes": [48, 96]}, (4, 64, 512)),
    Network("mlp-100-60-40", (1, 10, 10), "uint8,scale=1/255", {"name": "mlp", "sizes": [100, 60, 40]}, (32, 256)),
    Network("mlp-nf-int8", (1, 8, 8), "uint5,scale=1/16", {"name": "mlp", "sizes": [32, 32], "first_last": "int8", "block": "nf"}, (8, 64)),
    Network("cnn-8-16", (1, 8, 8), "uint5,scale=1/16", {"name": "cnn", "channels": [8, 16]}, (8, 64)),
    Network("cnn-16-24-32", (3, 12, 12), "uint8,scale=1/255", {"name": "cnn", "channels": [16, 24, 32], "sizes": [40]}, (32,)),
    Network("resnet8-8", (1, 8, 8), "uint5,scale=1/16", {"name": "resnet8", "channels": [8, 16, 32], "stream_bits": 3}, (16,)),
)
HELD_OUT = (
    Network("digits_mlp", faster=(2, 8, 64, 256)),
    Network("mlp-72-24", (1, 10, 10), "uint8,scale=1/255", {"name": "mlp", "sizes": [72, 24]}, (8, 32)),
    Network("mlp-96-64-int8", (1, 8, 8), "uint5,scale=1/16", {"name": "mlp", "sizes": [96, 64], "first_last": "int8"}, (8, 64)),
    Network("cnn-6-24", (1, 12, 12), "uint5,scale=1/16", {"name": "cnn", "channels": [6, 24]}, (8, 32)),
    Network("mnist_tfc", faster=(4, 16, 128)),
    Network("cnn-12-20", (1, 10, 10), "uint8,scale=1/255", {"name": "cnn", "channels": [12, 20]}, (4, 16)),
    Network("resnet8-12", (1, 8, 8), "uint8,scale=1/255", {"name": "resnet8", "channels": [12, 24, 48]}, (8,)),
)


def lowered(network: Network) -> DataflowGraph:
    """The graph of a network, not folded yet."""
    if network.options is None:
        return lower(ZOO / network.name / "model.onnx", LowerOptions(samples=2)).graph
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "model.onnx"
        _untrained(network, path)
        return lower(path, LowerOptions(samples=2)).graph


def designs(network: Network) -> Iterator[tuple[int, DataflowGraph]]:
    """Each folding of a network: by what it is faster than the slowest, and the graph with its buffers."""
    graph = lowered(network)
    slowest = max(busy_cycles(apply_folding(graph, {})).values())
    for times in network.faster:
        yield times, size_buffers(graph, even_folding(graph, max(1, slowest // times)))


def built_for(graph: DataflowGraph, family: str) -> DataflowGraph:
    """A network as `arbonn lower` makes it for boards of a family."""
    return run_passes(graph, (Engines(0, False, 6 if family in PRIMITIVES else 4),))


def product_bits(graph: DataflowGraph) -> int:
    """Bits of products that a folded network makes in a cycle: what its time of synthesis grows with."""
    found = 0
    for node in graph.nodes:
        if isinstance(node, MVAU | VVAU):
            ports = graph.ports(node)
            lanes = ports["i"].lanes * (ports["o"].lanes if isinstance(node, MVAU) else 1)
            found += lanes * ports["i"].dtype.bits * node.weight_dtype.bits
    return found


def even_folding(graph: DataflowGraph, cycles: int) -> Folding:
    """For each unit the least parallel folding of at most so many cycles a frame, or the most parallel one; of equal ones the squarest."""
    found = {}
    for node in graph.nodes:
        found[node.id] = min(entries(node, graph.ports(node)), key=lambda entry, node=node: _rank(graph, node, entry, cycles))  # type: ignore[misc]
    return found


def _rank(graph: DataflowGraph, node: Node, entry: Mapping[str, int], cycles: int) -> tuple[int, int, int]:
    from dataclasses import replace

    ports = graph.ports(node)
    lanes = port_lanes(node, ports, {node.id: entry})
    needed = busy(node, {port: replace(stream, lanes=lanes[port]) for port, stream in ports.items()})
    return max(0, needed - cycles), prod(entry.values()), max(entry.values(), default=1)


def _untrained(network: Network, path: Path) -> None:
    import torch

    from arbonn.model import networks
    from arbonn.model.export import export
    from arbonn.model.recipe import METHODS, TrainRecipe
    from arbonn.settings import parse

    assert network.options is not None
    sections = {
        "name": network.name, "data": {"name": "digits"}, "network": dict(network.options), "method": {"name": "ste"},
        "train": {"epochs": 1},
    }  # fmt: skip
    recipe = parse(sections, TrainRecipe, "calibrate")
    torch.manual_seed(0)
    method = METHODS.get("ste", "calibrate")(recipe.method)
    module = networks.build(recipe.network, network.image, 10, method)
    frame = network.image if networks.takes_images(recipe.network) else (prod(network.image),)
    with torch.no_grad():
        module.train()(torch.rand(64, *frame))
    export(module, path, recipe, network.contract, frame)
