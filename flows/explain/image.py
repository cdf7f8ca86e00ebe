"""`arbonn explain` as a function: one of a build's images, followed to its class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arbonn.errors import InputError
from arbonn.flows.explain.follow import Step, follow
from arbonn.flows.explain.page import as_svg, as_text
from arbonn.flows.frames import frames_for, labels_of
from arbonn.hw import graph_file


@dataclass(frozen=True, eq=False)
class Explained:
    """The way of image `index` of `source` to its class `label`."""

    steps: tuple[Step, ...]
    index: int
    source: str
    label: int

    @property
    def text(self) -> str:
        """For a terminal."""
        return as_text(self.steps)

    @property
    def svg(self) -> str:
        """As a drawing."""
        return as_svg(self.steps, f"image {self.index} of {self.source}: class {self.label}")

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.svg


def explain(folder: Path, index: int = 0, images: Path | None = None) -> Explained:
    """Follows one image (of `images`, a .npy file; by default of the test images) through the graph in `folder`.

    Raises InputError for an image that is not there, or does not fit the graph.
    """
    graph = graph_file.load(folder)
    frames = frames_for(graph, folder, images, None)
    if not 0 <= index < len(frames.codes):
        raise InputError("--index", found=str(index), allowed=f"0 .. {len(frames.codes) - 1} ({frames.source})")
    steps = follow(graph, frames.codes[index])
    label = int(labels_of(graph, {step.stream: step.values[None] for step in steps})[0])
    return Explained(tuple(steps), index, frames.source, label)
