"""What the integer network answers on its test images: how often each class is taken for which, and some that it gets wrong."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arbonn.flows.explain.follow import row_length
from arbonn.flows.frames import classes_of, labels_of, read_images, read_labels
from arbonn.flows.results import IMAGES, LABELS
from arbonn.hw.datatypes import Integers
from arbonn.hw.graph import DataflowGraph

FRAMES = 2000  # that are answered for the page
PICTURES = 12


@dataclass(frozen=True)
class Wrong:
    """A test image that was answered wrongly, as the data of a PNG."""

    number: int
    true: int
    answer: int
    picture: str
    width: int


@dataclass(frozen=True)
class Answers:
    """`confusion`: frames by class and answer. `frames` of `all_frames` were answered."""

    frames: int
    all_frames: int
    confusion: list[list[int]]
    wrong: list[Wrong]
    wrong_count: int

    @property
    def source(self) -> str:
        which = "all" if self.frames == self.all_frames else f"the first {self.frames:,} of"
        return f"{which} {self.all_frames:,} test images, integer network"


def answers(graph: DataflowGraph, folder: Path) -> Answers:
    """Answers of the reference on the test images beside the graph. Raises DataError where there are none that fit it."""
    from arbonn.sim.fast import FastReference

    codes = read_images(graph, folder / IMAGES)
    classes = classes_of(graph)
    truth = read_labels(folder / LABELS, len(codes), classes)
    some, truth = codes[:FRAMES], truth[:FRAMES]
    given = labels_of(graph, FastReference(graph).run({graph.inputs[0].id: some}))
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, given), 1)
    missed = np.flatnonzero(truth != given)
    shown = [Wrong(int(k), int(truth[k]), int(given[k]), *png(some[k])) for k in missed[:PICTURES]]
    return Answers(len(some), len(codes), counts.tolist(), shown, len(missed))


def png(frame: Integers) -> tuple[str, int]:
    """A frame (H, W, C) or a vector as a PNG in base64, and its width: in colours if C is 3, else grey by the mean of channels."""
    from PIL import Image

    values = frame
    if frame.ndim != 3:
        across = row_length(frame.reshape(-1))
        values = np.pad(frame.reshape(-1), (0, -frame.size % across)).reshape(-1, across, 1)
    values = values if values.shape[-1] == 3 else values.mean(axis=-1)
    span = values.max() - values.min()
    grey = np.zeros(values.shape, np.uint8) if span == 0 else np.rint(255 * (values - values.min()) / span).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode(), int(grey.shape[1])
