"""The maximum over 2x2 is torch's, in value, in the choice between equals, and in the export."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn.functional import max_pool2d

from arbonn.model.pooling import MaxPool2x2

sides = st.integers(2, 7)
maps = st.tuples(st.integers(1, 2), st.integers(1, 3), sides, sides).flatmap(
    lambda shape: arrays("float32", shape, elements=st.sampled_from([-1.0, 1.0]) | st.floats(-3, 3, width=32))
)


@given(maps)
def test_values_and_gradients_are_those_of_torch(x):
    results = []
    for pool in (MaxPool2x2(), lambda x: max_pool2d(x, 2)):
        leaf = torch.from_numpy(x).requires_grad_()
        out = pool(leaf)
        results.append((out.detach(), *torch.autograd.grad((out * torch.arange(1, out.numel() + 1).view(out.shape)).sum(), leaf)))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
