"""QONNX's own execution of a file: what the fast reference is measured against."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def executed(model: Path, codes: NDArray[np.uint8]) -> Callable[[], object]:
    """A call of the whole network on codes / 255, prepared for their number; one of the file's own shape or as many features."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.change_batchsize import ChangeBatchSize
    from qonnx.transformation.infer_shapes import InferShapes

    network = ModelWrapper(str(model)).transform(InferShapes()).transform(ChangeBatchSize(len(codes))).transform(InferShapes())
    name = network.graph.input[0].name
    values = (codes.astype(np.float32) / np.float32(255)).reshape(network.get_tensor_shape(name))

    def quietly(work: Callable[[], object]) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # qonnx warns of the reshapes whose batch it was just told to change
            return work()

    return partial(quietly, partial(execute_onnx, network, {name: values}))
