"""Frames for a graph: from a file of images, from the data that training left beside the graph, or drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbonn.errors import DataError
from arbonn.files import UNREADABLE
from arbonn.flows.lowering.lower import drawn_frames
from arbonn.flows.results import IMAGES
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph


@dataclass(frozen=True, eq=False)
class Frames:
    """Codes (frames, *shape) of the graph's input, and where they come from."""

    codes: Integers
    source: str

    def first(self, count: int | None) -> Frames:
        """At most `count` of them; None or 0: all."""
        if not count or count >= len(self.codes):
            return self
        return Frames(self.codes[:count], f"the first {count} of {self.source}")


def frames_for(graph: DataflowGraph, folder: Path, images: Path | None, count: int | None, seed: int = 0) -> Frames:
    """`images` if given, else the test images in `folder`, else 100 frames (or `count`) drawn over the input's range."""
    if images is None and (folder / IMAGES).is_file():
        images = folder / IMAGES
    if images is not None:
        return Frames(read_images(graph, images), f"{images.name}, {len(np.load(images, mmap_mode='r'))} images").first(count)
    count = count or 100
    stream = graph.inputs[0]
    codes = drawn_frames(graph.contract, stream.elements, count, seed).reshape(count, *stream.shape)
    return Frames(codes, f"{count} frames drawn with seed {seed} over the input's range, extremes included")


def read_images(graph: DataflowGraph, path: Path) -> Integers:
    """Codes (frames, *shape) from a .npy file of codes, or of floats that hit the contract's values; NCHW or flat."""
    array, shape = read_array(path), graph.inputs[0].shape
    channels_first = (shape[-1], *shape[:-1])
    if array.ndim < 2 or len(array) == 0 or array[0].size != graph.inputs[0].elements:
        shapes = dict.fromkeys([(graph.inputs[0].elements,), channels_first])
        allowed = ", or ".join(f"(frames, {', '.join(map(str, s))})" for s in shapes)
        raise DataError(str(path), found=f"images of shape {array.shape}", allowed=allowed)
    codes = graph.contract.encode(array.reshape(len(array), *channels_first), str(path))
    return np.ascontiguousarray(np.moveaxis(codes, 1, -1))


def read_labels(path: Path, frames: int, classes: int) -> Integers:
    """Labels (frames,) from a .npy file, each below `classes`."""
    array = read_array(path)
    if array.dtype.kind not in "iu" or array.shape != (frames,):
        raise DataError(str(path), found=f"{array.dtype} of shape {array.shape}", allowed=f"integers of shape ({frames},), one an image")
    if len(array) and not (array.min() >= 0 and array.max() < classes):
        raise DataError(str(path), found=f"labels {array.min()} .. {array.max()}", allowed=f"0 .. {classes - 1}, the network's classes")
    return array.astype(np.int64)


def read_array(path: Path) -> NDArray[Any]:
    """The array in a .npy file; never unpickles."""
    try:
        array = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        found = "no such file" if not path.exists() else f"no readable .npy file ({error})"
        raise DataError(str(path), found=found, allowed="a .npy file, as numpy.save writes it") from None
    if not isinstance(array, np.ndarray):
        raise DataError(str(path), found="an archive of arrays (.npz)", allowed="one array in a .npy file")
    if array.dtype.kind not in "biuf":
        raise DataError(str(path), found=f"{array.dtype} data", allowed="integers or floats")
    return array


def labels_of(graph: DataflowGraph, values: Mapping[str, Integers]) -> Integers:
    """The class of each frame: the graph's label, else the greatest logit, the lowest class among equals."""
    names = [stream.id for stream in graph.outputs]
    name = "label" if "label" in names else names[0]
    flat = values[name].reshape(len(values[name]), -1)
    return flat[:, 0] if name == "label" else flat.argmax(axis=1)


def classes_of(graph: DataflowGraph) -> int:
    """How many classes the graph tells apart: the logits that its LabelSelect takes, or that leave it."""
    selects = [graph.ports(node)["i"] for node in graph.nodes if node.kind == "LabelSelect"]
    return (selects or list(graph.outputs))[0].elements
