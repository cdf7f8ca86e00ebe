"""`kd`: knowledge distillation from the float twin, around any method."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from arbonn.model.methods.base import Context, register_method
from arbonn.model.methods.teacher import Taught, TaughtConfig


@register_method("kd")
class Kd(Taught):
    """Distillation as binary networks use it (ReActNet, arXiv 2003.03488, and RBONN and ReBNN after it).

    L = -mean_n sum_k softmax(teacher)_nk log_softmax(student)_nk, in the place of the labels' loss (`kd` "only"), or
    `share` of it and 1 - share of the labels' ("mix"). Teacher in evaluation mode, without gradient.
    State  the teacher.   Hardware  the base's.
    """

    summary = "distillation from the float twin's class probabilities, around another method"
    paper = "ReActNet, ECCV 2020, arXiv 2003.03488"

    class Config(TaughtConfig):
        """`share` counts for "mix" only."""

        kd: Literal["only", "mix"] = "only"
        share: Annotated[float, Field(ge=0, le=1)] = 0.5

    def task_loss(self, context: Context, logits: Tensor) -> Tensor:
        wanted, _ = self.taught(context.inputs)
        loss = distillation(logits, wanted)
        if self.config.kd == "only":
            return loss
        return self.config.share * loss + (1 - self.config.share) * super().task_loss(context, logits)


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross entropy of the student's probabilities under the teacher's; logits (N, classes) -> scalar."""
    return -(teacher.softmax(1) * student.log_softmax(1)).sum(1).mean()
