"""The frame of the accelerator's input, and the order of the file's input on it: an image where the first layer takes one."""

from __future__ import annotations

import numpy as np

from arbonn.flows.lowering.layout import image_order
from arbonn.flows.lowering.network import Network
from arbonn.flows.lowering.operators import CONCATS, ELEMENTWISE, SELECTS, SHAPE, SPATIAL, SUMS
from arbonn.flows.lowering.spans import Place


def front(network: Network) -> Place:
    """The place of the network's input. Shape operators are followed on indices, up to the first node that tells images from vectors."""
    shape = network.shapes[network.input]
    indices = {network.input: np.arange(network.elements(network.input)).reshape(shape[1:])}
    for node in network.nodes:
        source = network.dynamic(node)[0]
        if source not in indices or network.shapes[node.output[0]][0] != shape[0]:
            break
        index = indices[source]
        if node.op_type in ("Conv", *SUMS, *SPATIAL, *SELECTS, *CONCATS):
            if index.ndim not in (2, 3):
                break
            place = image_place(index.shape)
            places = np.empty(index.size, np.int64)
            places[index.reshape(-1)] = place.order.reshape(-1)
            return Place(place.frame, places.reshape(shape[1:]))
        if node.op_type in ("Gemm", "MatMul") and index.ndim in (2, 3) and np.prod(index.shape[:-1]) > 1:  # on each pixel
            frame = (index.shape[0] if index.ndim == 3 else 1, index.shape[-2], index.shape[-1])
            places = np.empty(index.size, np.int64)
            places[index.reshape(-1)] = np.arange(index.size)
            return Place(frame, places.reshape(shape[1:]))
        if node.op_type not in (*SHAPE, *ELEMENTWISE):
            break
        try:
            moved = network.reshaped(node, index[None])[0] if node.op_type in SHAPE else index
        except ValueError:  # a Transpose of the batch: `cut` says so
            break
        indices[node.output[0]] = moved
    elements = network.elements(network.input)
    return Place((elements,), np.arange(elements).reshape(shape[1:]))


def image_place(shape: tuple[int, ...]) -> Place:
    """A tensor (C, H, W) or (C, W) as an image on a stream of its own."""
    frame = (shape[1], shape[2], shape[0]) if len(shape) == 3 else (1, shape[1], shape[0])
    return Place(frame, image_order(frame, axes=len(shape) - 1))
