"""Cuts a network at its linear operators: what lies between two of them is one function of an integer for each channel.

input --region--> linear --region--> linear --region--> logits (--tail)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from arbonn.errors import LoweringError
from arbonn.flows.lowering.layout import image_order
from arbonn.flows.lowering.linear import Linear, linear_of
from arbonn.flows.lowering.network import Network
from arbonn.flows.lowering.operators import ELEMENTWISE, LINEAR, SHAPE, SPATIAL, SUMS, TAIL
from arbonn.flows.lowering.problems import with_problems
from arbonn.flows.lowering.region import CHUNK, Region, RegionBuilder
from arbonn.hw.datatypes import Integers

__all__ = ["CHUNK", "Linear", "Region", "Segments", "cut"]


@dataclass(frozen=True, eq=False)
class Segments:
    """regions[0] linears[0] regions[1] ... regions[-1]; `tail` is the operator left to the host, or to LabelSelect."""

    regions: tuple[Region, ...]
    linears: tuple[Linear, ...]
    tail: onnx.NodeProto | None


def cut(network: Network) -> Segments:
    """The segments of a network. Raises one LoweringError that names every node which mixes elements in a way that does not lower."""
    problems: list[tuple[onnx.NodeProto, str]] = []
    regions, linears, tail = list[Region](), list[Linear](), None
    builder, alive = RegionBuilder(network, network.input, *_front(network)), {network.input}
    for node in network.nodes:
        outside = [i for i in network.dynamic(node) if i not in alive]
        if outside:
            problems.append((node, f"takes {outside[0]!r} from another branch"))
            builder.restart(node, *_fresh(network, node.output[0]))
        elif tail is not None:
            problems.append((node, f"follows {tail.op_type}, which only the end of a network may be"))
        elif node.op_type in TAIL:
            tail = node
        elif node.op_type in LINEAR:
            source = network.dynamic(node)[0]
            found = linear_of(network, node, builder.after, builder.orders[source])
            regions.append(builder.finish(source))
            if isinstance(found, Linear):
                linears.append(found)
                builder = RegionBuilder(network, node.output[0], found.after, found.order)
            else:
                problems.append((node, found))
                builder = RegionBuilder(network, node.output[0], *_fresh(network, node.output[0]))
            alive = set()
        else:
            reason = builder.add(node)
            if reason:
                problems.append((node, reason))
                builder.restart(node, *_fresh(network, node.output[0]))
        alive.update(node.output)
    if problems:
        listed = "; ".join(f"{node.name} ({node.op_type}) {reason}" for node, reason in problems)
        error = LoweringError(
            network.name,
            found=listed,
            allowed="a chain of linear layers with element-wise operators between them",
            fix="export the network without these nodes",
        )
        raise with_problems(error, problems)
    if not linears:
        raise LoweringError(
            network.name, found="no linear layer", allowed="networks with at least one Conv, MatMul or Gemm by constant weights"
        )
    regions.append(builder.finish(tail.input[0] if tail is not None else network.output))
    _refuse_unordered(regions[-1])
    return Segments(tuple(regions), tuple(linears), tail)


def _refuse_unordered(last: Region) -> None:
    order = last.orders[last.end].reshape(-1)
    if not np.array_equal(order, np.arange(last.after[-1])):
        found = f"logits of shape {last.network.shapes[last.end]}"
        raise LoweringError(last.network.name, found=found, allowed="one number a class, in the order of the last layer's rows")


def _front(network: Network) -> tuple[tuple[int, ...], Integers]:
    """The frame of the input's stream, and the order of the file's input on it: an image where the first layer takes one."""
    shape = network.shapes[network.input]
    indices = {network.input: np.arange(network.elements(network.input)).reshape(shape[1:])}
    for node in network.nodes:
        source = network.dynamic(node)[0]
        if source not in indices or network.shapes[node.output[0]][0] != shape[0]:
            break
        index = indices[source]
        if node.op_type in ("Conv", *SUMS, *SPATIAL):
            if index.ndim not in (2, 3):
                break
            frame, order = _image(index.shape)
            places = np.empty(index.size, np.int64)
            places[index.reshape(-1)] = order.reshape(-1)
            return frame, places.reshape(shape[1:])
        if node.op_type in ("Gemm", "MatMul") and index.ndim in (2, 3) and np.prod(index.shape[:-1]) > 1:  # on each pixel
            frame = (index.shape[0] if index.ndim == 3 else 1, index.shape[-2], index.shape[-1])
            places = np.empty(index.size, np.int64)
            places[index.reshape(-1)] = np.arange(index.size)
            return frame, places.reshape(shape[1:])
        if node.op_type not in (*SHAPE, *ELEMENTWISE):
            break
        try:
            moved = network.reshaped(node, index[None])[0] if node.op_type in SHAPE else index
        except ValueError:  # a Transpose of the batch: `cut` says so
            break
        indices[node.output[0]] = moved
    elements = network.elements(network.input)
    return (elements,), np.arange(elements).reshape(shape[1:])


def _image(shape: tuple[int, ...]) -> tuple[tuple[int, int, int], Integers]:
    frame = (shape[1], shape[2], shape[0]) if len(shape) == 3 else (1, shape[1], shape[0])
    return frame, image_order(frame, axes=len(shape) - 1)


def _fresh(network: Network, tensor: str) -> tuple[tuple[int, ...], Integers]:
    """A frame and an order for a tensor behind a problem, so that the search for further problems goes on."""
    shape = network.shapes[tensor][1:]
    if len(shape) in (2, 3):
        return _image(shape)
    size = int(np.prod(shape))
    return (size,), np.arange(size).reshape(shape)
