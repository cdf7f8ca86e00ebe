"""`kd` and the teacher: the loss by formula, a twin that is trained once and travels with the run."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from arbonn.errors import TrainError
from arbonn.model.batches import load
from arbonn.model.layers import SignActivation, binary_layers
from arbonn.model.methods.base import Lessons
from arbonn.model.methods.kd import distillation
from arbonn.model.methods.teacher import FloatTwin
from arbonn.model.train import build, train

logits = arrays("float64", (4, 5), elements=st.floats(-5, 5))


@given(logits, logits)
def test_the_loss_is_least_where_the_student_is_the_teacher(student, teacher):
    student, teacher = torch.from_numpy(student), torch.from_numpy(teacher)
    p, q = teacher.softmax(1), student.softmax(1)
    assert distillation(student, teacher).item() == pytest.approx(float(-(p * q.log()).sum(1).mean()))
    assert distillation(teacher, teacher) <= distillation(student, teacher) + 1e-9


def test_only_and_mix(built, context):
    student = torch.randn(64, 4, requires_grad=True)
    for options, share in (({}, 1.0), ({"kd": "mix", "share": 0.25}, 0.25)):
        chosen, net = built("kd", base={"name": "ste"}, **options)
        batch = context(net, None)
        labels = torch.nn.functional.cross_entropy(student, batch.labels)
        wanted = share * distillation(student, chosen.taught(batch.inputs)[0]) + (1 - share) * labels
        assert torch.allclose(chosen.task_loss(batch, student), wanted)
    chosen.task_loss(batch, student).backward()
    assert all(parameter.grad is None for parameter in chosen.teacher.parameters())


def lessons(count: int = 192) -> Lessons:
    random = torch.Generator().manual_seed(1)
    inputs = torch.rand(count, 12, generator=random)
    return Lessons(inputs, (inputs[:, :4]).argmax(1), 64, 0.005, 7)


def test_the_twin_learns_alike_each_time_and_is_frozen(built):
    chosen, _ = built("kd", base={"name": "ste"}, teacher_epochs=30, teacher_lr=0.01)
    other, _ = built("kd", base={"name": "ste"}, teacher_epochs=30, teacher_lr=0.01)
    for one in (chosen, other):
        one.teach(lessons())
    first, second = chosen.state_dict(), other.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(parameter.requires_grad for parameter in chosen.teacher.parameters())
    answers, stages = chosen.taught(lessons().inputs)
    assert (answers.argmax(1) == lessons().labels).float().mean() > 0.9
    assert [tuple(stage.shape) for stage in stages] == [(192, 10)]
    assert isinstance(chosen.teacher, FloatTwin)


def test_a_teacher_that_diverges_is_an_error(built):
    chosen, _ = built("kd", base={"name": "ste"}, teacher_epochs=1)
    broken = lessons()
    broken.inputs[0, 0] = float("nan")
    with pytest.raises(TrainError, match=r"^TrainError: method.teacher_lr: the teacher's loss is nan\n  allowed  a finite loss"):
        chosen.teach(broken)


def test_a_resumed_run_keeps_its_teacher(recipe, tmp_path, monkeypatch):
    small = recipe(method={"name": "kd", "teacher_epochs": 2, "base": {"name": "ste"}}, train={"epochs": 2})
    whole = train(small, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def stop(progress) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(small, tmp_path / "killed", stop)
    with monkeypatch.context() as patch:
        patch.setattr("arbonn.model.methods.teacher.fit", lambda *arguments: pytest.fail("trained again"))
        resumed = train(small, tmp_path / "killed")
    assert resumed.model.read_bytes() == whole.model.read_bytes()


@pytest.mark.parametrize("network", [{"name": "cnn", "channels": [4, 6]}, {"name": "resnet8", "channels": [2, 4]}])
def test_the_twin_of_any_network_is_real_and_has_a_stage_for_each_sign(recipe, network):
    small = recipe(network=network)
    _, binary = build(small, load(small))
    twin = FloatTwin(binary)
    assert not binary_layers(twin)
    signs = [module for module in binary.modules() if isinstance(module, SignActivation)]
    x = torch.rand(3, 1, 8, 8)
    answers, stages = twin(x)
    assert answers.shape == (3, 10)
    assert [stage.shape[1] for stage in stages] == [len(sign.beta) for sign in signs]
    assert all((stage >= 0).all() for stage in stages)
    twin(x)[0].sum().backward()
    shapes = [layer.weight.shape for layer in twin.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert shapes == [layer.weight.shape for layer in binary_layers(binary).values()]
    assert all(parameter.grad is None for parameter in binary.parameters())
