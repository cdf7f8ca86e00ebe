"""The binary layer and the sign: forward bits, backward surrogates, and what Brevitas does around them."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arbonn.model.layers import BinaryConv2d, BinaryLinear, SignActivation
from arbonn.model.methods.binarizers import LearnableScale
from arbonn.model.residual import Stream
from arbonn.model.surrogates import BiRealSign, sign

values = arrays("float32", st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(-2, 2, width=32))


def layer() -> BinaryLinear:
    return BinaryLinear(6, 4, lambda layer: LearnableScale(layer.weight))


def test_sign_of_zero_is_plus_one():
    assert sign(torch.tensor([-0.0, 0.0, -1e-45, 2.0])).tolist() == [1.0, 1.0, -1.0, 1.0]


@given(values)
def test_bireal_backward_is_its_formula(x):
    x = torch.from_numpy(x).requires_grad_()
    (BiRealSign.apply(x) * 3).sum().backward()
    inside = x.detach().abs() < 1
    assert torch.equal(x.grad, 3 * torch.where(inside, 2 - 2 * x.detach().abs(), torch.zeros(())))


def test_the_layer_computes_with_bits_and_one_scale_a_channel():
    binary, x = layer(), torch.randn(3, 6)
    weight = binary.binarizer.alpha.abs()[:, None] * sign(binary.weight)
    assert torch.equal(binary(x), x @ weight.T)
    assert torch.equal(binary.effective_weight(), weight)
    assert torch.equal(binary.bits(), binary.weight >= 0)
    assert binary(x).grad_fn is not None


def test_a_convolution_computes_with_bits_and_one_scale_a_channel():
    torch.manual_seed(1)
    binary, x = BinaryConv2d(3, 4, 2, lambda layer: LearnableScale(layer.weight), stride=2, padding=1), torch.randn(2, 3, 5, 4)
    weight = binary.binarizer.alpha.abs()[:, None, None, None] * sign(binary.weight)
    assert torch.allclose(binary(x), torch.nn.functional.conv2d(x, weight, None, 2, 1), atol=1e-6)
    assert torch.equal(binary.effective_weight(), weight)
    assert torch.equal(binary.bits(), binary.weight >= 0)
    binary.quantizer.perturbation, binary.quantizer.record = torch.ones_like(weight), True
    binary(x).sum().backward()
    assert binary.quantizer.grad.shape == weight.shape


def test_a_perturbation_moves_the_weight_and_the_gradient_is_recorded():
    binary, x = layer(), torch.randn(3, 6)
    plain = binary(x)
    binary.quantizer.perturbation, binary.quantizer.record = torch.ones(4, 6), True
    moved = binary(x)
    assert torch.allclose(moved, plain + x.sum(1, keepdim=True), atol=1e-6)
    moved.sum().backward()
    once = binary.quantizer.grad.clone()
    assert torch.allclose(once, x.sum(0).expand(4, 6))
    binary(x).sum().backward()
    assert torch.equal(binary.quantizer.grad, 2 * once), "passes add up, as under gradient accumulation"


def test_loading_a_state_keeps_the_parameters_that_an_optimizer_holds():
    binary = layer()
    before = [id(parameter) for parameter in binary.parameters()]
    state = {name: value + 1 for name, value in binary.state_dict().items()}
    binary.load_state_dict(state)
    assert [id(parameter) for parameter in binary.parameters()] == before
    assert set(state) == {"weight", "weight_quant.tensor_quant.binarizer.alpha"}
    assert all(torch.equal(value, state[name]) for name, value in binary.state_dict().items())


def test_the_activation_shifts_each_channel_before_its_sign():
    activation = SignActivation(3)
    activation.beta.data = torch.tensor([0.5, 0.0, -0.5])
    assert activation(torch.tensor([[-0.5, -0.1, 0.4]])).tolist() == [[1.0, -1.0, -1.0]]
    activation(torch.tensor([[-0.25, 2.0, 0.5]])).sum().backward()
    assert activation.beta.grad.tolist() == [1.5, 0.0, 2.0]


def test_the_activation_shifts_each_channel_of_a_map():
    activation = SignActivation(2)
    activation.beta.data = torch.tensor([0.5, -0.5])
    a = torch.tensor([[[[-0.4, -0.6]], [[0.4, 0.6]]]])
    assert activation(a).tolist() == [[[[1.0, -1.0]], [[-1.0, 1.0]]]]
    activation(a).sum().backward()
    assert torch.allclose(activation.beta.grad, torch.tensor([2 * 1.8, 2 * 1.8]))


def test_a_stream_is_rounded_and_held_on_its_grid():
    stream = Stream(3)
    x = torch.tensor([[-9.0, -0.3, 0.2, 0.25, 0.75, 1.4, 5.0]], requires_grad=True)
    out = stream(x)
    assert out.tolist() == [[-2.0, -0.5, 0.0, 0.0, 1.0, 1.5, 1.5]], "ties go to even"
    out.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]


def test_another_surrogate_takes_the_place_of_bireal():
    activation = SignActivation(2, lambda x: sign(x).detach() + 7 * x - (7 * x).detach())
    a = torch.tensor([[0.3, -3.0]], requires_grad=True)
    out = activation(a)
    out.sum().backward()
    assert (out.tolist(), a.grad.tolist()) == ([[1.0, -1.0]], [[7.0, 7.0]])
