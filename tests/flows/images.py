"""Small random QONNX networks on images for tests: convolutions, poolings and padding of every kind, in the orders that exporters write."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st

from arbonn.flows.lowering.importer import import_model
from tests.flows.networks import Builder, activate

ACTIVATIONS = ("sign", "prelu-sign", "quant2", "signed3", "relu4", "multithreshold", "qcdq", "tanh-falls", "abs")
CONTRACTS = ("uint3,scale=1/7", "bipolar", "int3,scale=0.3,zero=1", "uint8,scale=1/255", "uint2")


class Images(Builder):
    """A builder that follows the channels and sizes of its end, (C, H, W) or (C, W)."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        super().__init__(("batch", *shape))
        self.size, self.random = shape, np.random.default_rng(seed)

    def window(self, op: str, others: tuple[Any, ...], channels: int, kernel: list[int], **attributes: Any) -> Images:
        """A Conv or pooling; sizes follow as ONNX says, with floor."""
        axes = len(self.size) - 1
        strides, dilations = attributes.get("strides", [1] * axes), attributes.get("dilations", [1] * axes)
        pads = attributes.get("pads", [0] * 2 * axes)
        self.then(op, *others, kernel_shape=kernel, **attributes)
        sizes = [(self.size[1 + k] + pads[k] + pads[axes + k] - dilations[k] * (kernel[k] - 1) - 1) // strides[k] + 1 for k in range(axes)]
        self.size = (channels, *sizes)
        return self

    def conv(self, channels: int, kernel: list[int], bits: int = 1, groups: int = 1, bias: bool = False, **attributes: Any) -> Images:
        latent = self.random.normal(size=(channels, self.size[0] // groups, *kernel)).astype(np.float32)
        scale = (0.2 + self.random.random((channels, *[1] * (latent.ndim - 1)) if bits == 1 else ())).astype(np.float32)
        others: list[Any] = [self.weights(latent, bits, scale)]
        if bias:
            others.append(self.random.normal(size=channels).astype(np.float32))
        return self.window("Conv", tuple(others), channels, kernel, group=groups, **attributes)

    def norm(self) -> Images:
        """A BatchNorm whose gains have both signs; shifts are small, so that few channels are the same for every image."""
        numbers = [spread * self.random.normal(size=self.size[0]) for spread in (1, 0.3, 0.3)] + [0.3 + self.random.random(self.size[0])]
        self.then("BatchNormalization", *(n.astype(np.float32) for n in numbers), epsilon=1e-5)
        return self

    def activation(self, kind: str) -> Images:
        if kind == "prelu-sign":
            shape = (self.size[0], *[1] * (len(self.size) - 1))
            self.then("PRelu", np.linspace(-0.5, 0.5, self.size[0], dtype=np.float32).reshape(shape))
            self.then("Add", self.random.normal(size=shape).astype(np.float32)).then("BipolarQuant", np.float32(0.5))
        else:
            activate(self, kind, self.size[0])
            if kind == "multithreshold" and len(self.size) == 2:  # of a tensor with three axes qonnx guesses NWC
                self.nodes[-1].attribute.append(onnx.helper.make_attribute("data_layout", "NCW"))
        return self

    def pad(self, pads: list[int], value: float) -> Images:
        """A border; pads as ONNX has them, of rows and columns only."""
        axes = len(self.size) - 1
        self.then("Pad", np.array([0, 0, *pads[:axes], 0, 0, *pads[axes:]]), np.float32(value), mode="constant")
        self.size = (self.size[0], *(self.size[1 + k] + pads[k] + pads[axes + k] for k in range(axes)))
        return self

    def flat(self) -> Images:
        """Flatten, whatever was appended before."""
        self.then("Flatten")
        self.size = import_model(self.model(), "net.onnx").shapes[self.tensor][1:]
        return self

    def dense(self, rows: int, bits: int = 1) -> Images:
        latent = self.random.normal(size=(rows, int(np.prod(self.size)))).astype(np.float32)
        scale = np.float32(0.3) if bits > 1 else (0.2 + self.random.random((rows, 1))).astype(np.float32)
        self.then("Gemm", self.weights(latent, bits, scale), transB=1)
        self.size = (rows,)
        return self


def draw_window(draw: st.DrawFn, size: tuple[int, ...], *, dilated: bool = True, padded: bool = True) -> dict[str, Any]:
    """Attributes of a window that fits: kernel_shape, strides, dilations, pads."""
    axes = len(size) - 1
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    dilations = [draw(st.integers(1, 2)) if dilated else 1 for _ in range(axes)]
    pads = [draw(st.integers(0, k - 1)) if padded else 0 for k in kernel * 2]
    for k in range(axes):
        extent = dilations[k] * (kernel[k] - 1) + 1
        if size[1 + k] + pads[k] + pads[axes + k] < extent:
            kernel[k], dilations[k], pads[k], pads[axes + k] = 1, 1, 0, 0
    return {"kernel": kernel, "strides": [draw(st.integers(1, 2)) for _ in range(axes)], "dilations": dilations, "pads": pads}


def draw_pool(b: Images, draw: st.DrawFn) -> None:
    kind = draw(st.sampled_from(("MaxPool", "MaxPool", "GlobalMaxPool")))
    if kind == "MaxPool":
        dilated = draw(st.booleans())  # together with padding some window might hold nothing else
        b.window("MaxPool", (), b.size[0], **draw_window(draw, b.size, dilated=dilated, padded=not dilated))
    else:
        b.then("GlobalMaxPool")
        b.size = (b.size[0], *[1] * (len(b.size) - 1))


@st.composite
def images(draw: st.DrawFn) -> tuple[onnx.ModelProto, str]:
    """(network, contract): one to three layers on images, then dense ones or an average."""
    axes = draw(st.sampled_from((2, 2, 1)))
    shape = (draw(st.integers(1, 3)), *(draw(st.integers(2, 6)) for _ in range(axes)))
    b, contract = Images(shape, draw(st.integers(0, 2**16))), draw(st.sampled_from(CONTRACTS))
    if draw(st.booleans()):
        b.then("Mul", np.float32(2)).then("Sub", np.float32(1)).then("BipolarQuant", np.float32(1))
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            b.pad([draw(st.integers(0, 1)) for _ in range(2 * axes)], draw(st.sampled_from((0.0, 1.0, -1.0))))
        channels, bits = draw(st.integers(1, 4)), draw(st.sampled_from((1, 1, 2, 3)))
        groups = draw(st.sampled_from([g for g in range(1, b.size[0] + 1) if b.size[0] % g == 0]))
        channels = b.size[0] if groups == b.size[0] and draw(st.booleans()) else channels * groups
        b.conv(channels, bits=bits, groups=groups, bias=draw(st.booleans()), **draw_window(draw, b.size))
        before = draw(st.integers(0, 3))  # where the pooling stands: before the norm, before the activation, behind it, nowhere
        if before == 0:
            draw_pool(b, draw)
        if draw(st.booleans()):
            b.norm()
        if before == 1:
            draw_pool(b, draw)
        b.activation(draw(st.sampled_from(ACTIVATIONS)))
        if before == 2:
            draw_pool(b, draw)
    ending = draw(st.sampled_from(("dense", "dense", "average", "global", "mean", "transposed")))
    if ending == "average":
        window = draw_window(draw, b.size, dilated=False)
        b.window("AveragePool", (), b.size[0], window["kernel"], strides=window["strides"], pads=window["pads"], count_include_pad=1)
        b.activation("signed3")
    elif ending == "global":
        b.then("GlobalAveragePool")
        b.size = (b.size[0], *[1] * axes)
    elif ending == "mean":
        b.then("ReduceMean", axes=list(range(2, 2 + axes)), keepdims=0)
        b.size = b.size[:1]
    if ending == "transposed":
        b.then("Transpose", perm=[0, *range(2, 2 + axes), 1])
    b.then("Flatten", axis=1)
    b.dense(draw(st.integers(1, 4)), draw(st.sampled_from((1, 2))))
    if draw(st.booleans()):
        b.then("Softmax", axis=1)
    return b.model(), contract


def cnv() -> onnx.ModelProto:
    """The VGG-like network that the field calls CNV, with drawn weights: six convolutions, three dense layers, 32 x 32 colour images."""
    b = Images((3, 32, 32), 7)
    b.then("Mul", np.float32(2)).then("Sub", np.float32(1))
    for channels, pooled in ((64, False), (64, True), (128, False), (128, True), (256, False), (256, False)):
        b.conv(channels, [3, 3]).norm().activation("sign")
        if pooled:
            b.window("MaxPool", (), channels, [2, 2], strides=[2, 2])
    b.then("Flatten", axis=1)
    for rows in (512, 512):
        b.dense(rows).norm().activation("sign")
    return b.dense(10).model()
