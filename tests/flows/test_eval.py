"""`arbonn eval` on a network and images made elsewhere: the answer is known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from arbonn.flows import stages
from arbonn.flows.options import Common, LowerOptions


def test_the_zoo_s_tfc_labels_9296_of_mnist_s_10000_test_images_rightly(tmp_path: Path) -> None:
    folder = os.environ.get("ARBONN_DATA")
    if not folder:
        pytest.skip("ARBONN_DATA is not set")
    data = np.load(Path(folder) / "mnist.npz")
    images, labels = tmp_path / "images.npy", tmp_path / "labels.npy"
    np.save(images, data["test_images"][:, None])  # NCHW
    np.save(labels, data["test_labels"])
    lowered = stages.lower(Path(folder) / "TFC_1W1A.onnx", LowerOptions("uint8,scale=1/255", samples=10), Common(tmp_path))
    assert lowered.mismatches == 0
    found = stages.evaluate(tmp_path, images, labels)
    assert (found.frames, found.correct, found.accuracy) == (10_000, 9_296, 0.9296)
    assert found.images_per_second > 0
