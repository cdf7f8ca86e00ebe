"""Small random QONNX networks whose branches part and meet: residual sums, concatenations, splits and shuffles of channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.flows.images import CONTRACTS, Images, draw_window

STEPS = (0.25, 0.3, 0.7)


class Branched(Images):
    """A builder that can go back to an earlier tensor: `at` remembers a place, `back` returns to it."""

    @property
    def at(self) -> tuple[str, tuple[int, ...]]:
        return self.tensor, self.size

    def back(self, place: tuple[str, tuple[int, ...]]) -> Branched:
        self.tensor, self.size = place
        return self

    def quant(self, step: float, bits: int, *, signed: bool = True) -> Branched:
        """Few-bit integers times `step`; with one bit the two values +-step."""
        if bits == 1:
            self.then("BipolarQuant", np.float32(step))
        else:
            self.then("Quant", np.float32(step), np.float32(0), np.float32(bits), signed=int(signed), narrow=0, rounding_mode="ROUND")
        return self

    def same(self, channels: int, kernel: int = 3, **attributes: Any) -> Branched:
        """A convolution that keeps the size."""
        axes = len(self.size) - 1
        pads = [(kernel - 1) // 2] * axes + [kernel // 2] * axes
        self.conv(channels, [kernel] * axes, pads=pads, **attributes)
        return self

    def add(self, place: tuple[str, tuple[int, ...]], op: str = "Add") -> Branched:
        self.then(op, place[0])
        return self

    def concat(self, *places: tuple[str, tuple[int, ...]]) -> Branched:
        """This end's channels, then those of the others."""
        self.then("Concat", *(name for name, _ in places), axis=1)
        self.size = (self.size[0] + sum(size[0] for _, size in places), *self.size[1:])
        return self

    def parts(self, *sizes: int) -> list[tuple[str, tuple[int, ...]]]:
        """The channels in parts."""
        source, rest = self.tensor, self.size[1:]
        names = [f"{source}_part{k}" for k in range(len(sizes))]
        self.then("Split", np.array(sizes), axis=1)
        self.nodes[-1].output[:] = names
        return [(name, (size, *rest)) for name, size in zip(names, sizes, strict=True)]

    def shuffle(self, groups: int) -> Branched:
        """ShuffleNet's: Reshape, Transpose, Reshape."""
        channels, rest = self.size[0], self.size[1:]
        perm = [0, 2, 1, *range(3, 3 + len(rest))]
        self.then("Reshape", np.array([0, groups, channels // groups, *rest])).then("Transpose", perm=perm)
        self.then("Reshape", np.array([0, channels, *rest]))
        return self


def residual(b: Branched, draw: st.DrawFn, step: float) -> None:
    """x + f(x), with one way in and what may stand on either branch."""
    start = b.at
    if draw(st.booleans()):
        b.then("Add", b.random.normal(size=(b.size[0], *[1] * (len(b.size) - 1))).astype(np.float32))  # a shift before the sign
    b.activation(draw(st.sampled_from(("sign", "prelu-sign", "quant2"))))
    channels = start[1][0]
    kind = draw(st.sampled_from(("identity", "identity", "conv", "pool", "average")))
    if kind == "conv":
        channels = draw(st.integers(1, 4))
    b.same(channels, draw(st.integers(1, 3)), bits=draw(st.sampled_from((1, 1, 2))))
    if draw(st.booleans()):
        b.norm()
    if draw(st.booleans()):
        b.activation("sign").same(channels, draw(st.sampled_from((1, 3))))
    b.quant(step, draw(st.integers(1, 3)))
    way = b.at
    b.back(start)
    axes = len(b.size) - 1
    if kind == "conv":
        b.same(channels, 1).norm().quant(step * draw(st.sampled_from((1, 2))), draw(st.integers(1, 3)))
    elif kind == "pool":
        b.window("MaxPool", (), b.size[0], [3] * axes, pads=[1] * 2 * axes)
    elif kind == "average":
        b.window("AveragePool", (), b.size[0], [3] * axes, pads=[1] * 2 * axes, count_include_pad=1).quant(step, 3)
    if draw(st.booleans()):
        b.add(way, draw(st.sampled_from(("Add", "Sub"))))
    else:
        other = b.at
        b.back(way).add(other)


def dense_block(b: Branched, draw: st.DrawFn, step: float) -> None:
    """[x, f(x), ...] side by side."""
    start, others = b.at, []
    for _ in range(draw(st.integers(1, 2))):
        b.back(start).activation("sign").same(draw(st.integers(1, 3)), draw(st.sampled_from((1, 3)))).norm()
        b.quant(step * draw(st.sampled_from((1, 1, 1.37))), draw(st.integers(1, 3)))
        others.append(b.at)
    b.back(start).concat(*others)


def split_block(b: Branched, draw: st.DrawFn, step: float) -> None:
    """Channels part, some go through a layer, all meet again; then perhaps in another order."""
    cuts = sorted(draw(st.sets(st.integers(1, b.size[0] - 1), min_size=1, max_size=2))) if b.size[0] > 1 else []
    if not cuts:
        return
    sizes = np.diff([0, *cuts, b.size[0]]).tolist()
    if draw(st.booleans()) and b.size[0] % 2 == 0:
        b.shuffle(2)
    parts = b.parts(*sizes)
    for k in draw(st.sets(st.integers(0, len(parts) - 1))):
        b.back(parts[k]).activation("sign").same(parts[k][1][0]).norm().quant(step, 2)
        parts[k] = b.at
    b.back(parts[0]).concat(*parts[1:])
    if draw(st.booleans()) and b.size[0] % 2 == 0:
        b.shuffle(draw(st.sampled_from((2, b.size[0] // 2))))


def requantize(b: Branched, draw: st.DrawFn, step: float) -> None:
    """What may stand behind a join: nothing, norms and activations, then few bits again."""
    kind = draw(st.sampled_from(("", "", "norm", "rprelu", "pool")))
    if kind == "norm":
        b.norm()
    elif kind == "rprelu":
        shape = (b.size[0], *[1] * (len(b.size) - 1))
        b.then("Sub", b.random.normal(size=shape).astype(np.float32)).then("PRelu", np.full(shape, 0.25, np.float32))
        b.then("Add", b.random.normal(size=shape).astype(np.float32))
    elif kind == "pool":
        b.window("MaxPool", (), b.size[0], [2] * (len(b.size) - 1), pads=[0] * (len(b.size) - 1) + [1] * (len(b.size) - 1))
    if kind:
        b.quant(step, draw(st.integers(2, 4)))


@st.composite
def branched(draw: st.DrawFn) -> tuple[onnx.ModelProto, str]:
    """(network, contract): one to three blocks on images, then a layer, a sum or an average in front of the logits."""
    axes = draw(st.sampled_from((2, 2, 1)))
    shape = (draw(st.integers(1, 4)), *(draw(st.integers(2, 5)) for _ in range(axes)))
    b, contract, step = Branched(shape, draw(st.integers(0, 2**16))), draw(st.sampled_from(CONTRACTS)), draw(st.sampled_from(STEPS))
    if draw(st.booleans()):
        b.conv(draw(st.integers(1, 4)), **draw_window(draw, b.size)).norm()
    if draw(st.integers(0, 3)):
        b.quant(step, draw(st.integers(1, 4)))
    else:
        contract = draw(st.sampled_from((f"uint3,scale={step}", f"int2,scale={step}", f"bipolar,scale={step}")))
        b = Branched(shape, draw(st.integers(0, 2**16)))
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from((residual, residual, dense_block, split_block)))(b, draw, step)
        requantize(b, draw, step)
    ending = draw(st.sampled_from(("dense", "dense", "global", "sum", "both")))
    if ending == "global":
        b.quant(step, 3).then("GlobalAveragePool")
        b.size = (b.size[0], *[1] * axes)
    b.flat()
    start = b.at
    b.dense(3)
    if ending in ("sum", "both"):
        b.quant(step, 3)
        first = b.at
        b.back(start).dense(3).quant(step, 3).add(first)
        if ending == "both":
            b.then("Mul", np.array([1, 0.5, -1], np.float32))
    return b.model(), contract


def resnet(blocks: int, channels: tuple[int, ...], size: int, *, bits: int = 4, colours: int = 3, seed: int = 0) -> onnx.ModelProto:
    """Bi-Real blocks on a residual stream of few-bit integers with one scale; each stage but the first halves the image.

    x -> sign (shifted) -> binary convolution -> BatchNorm -> Quant -> + x -> Quant; x is averaged and widened by a 1x1 convolution where
    the image gets smaller. blocks = 3 and channels (16, 32, 64) on 32 x 32 pixels is as deep as ResNet-20.
    """
    b, step = Branched((colours, size, size), seed), 0.5
    b.same(channels[0]).norm().quant(step, bits)
    for stage, wide in enumerate(channels):
        for block in range(2 * blocks):
            start, halves = b.at, stage > 0 and block == 0
            b.then("Sub", (0.2 * b.random.normal(size=(b.size[0], 1, 1))).astype(np.float32)).activation("sign")
            b.conv(wide, [3, 3], pads=[1, 1, 1, 1], strides=[2, 2] if halves else [1, 1]).norm().quant(step, bits)
            way = b.at
            b.back(start)
            if halves:
                b.window("AveragePool", (), b.size[0], [2, 2], strides=[2, 2]).activation("sign").same(wide, 1).norm().quant(step, bits)
            b.add(way).quant(step, bits)
    b.then("GlobalAveragePool")
    b.size = (b.size[0], 1, 1)
    return b.flat().dense(10).model()
