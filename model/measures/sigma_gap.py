"""How far the spectral norms of the network's stages are from those of its float twin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import hardtanh

from arbonn.model.batches import tensors
from arbonn.model.layers import SignActivation
from arbonn.model.measures.base import Measure, register_measure
from arbonn.model.measures.images import inputs
from arbonn.model.methods.base import Lessons
from arbonn.model.methods.lcr import Lcr, stage_ends
from arbonn.model.methods.lipschitz import retention
from arbonn.model.methods.teacher import FloatTwin, Taught, fit

IMAGES = 256


@register_measure("sigma-gap")
class SigmaGap(Measure):
    """Mean over pairs of stages of |sigma_student - sigma_teacher| / sigma_teacher on 256 test images, by exact singular values.

    sigma_gap        student stages times the learnt numbers of `lcr`, where there are any: what its loss compares
    sigma_gap_plain  without them
    The twin is the method's own teacher; where it has none, one is trained as `lcr` and `kd` train theirs, so arms that differ only
    in their loss share the twin of their seed. Stages and matrices are those of `lcr` (arXiv 2207.06540).
    """

    def final(self) -> dict[str, float]:
        signs = [module for module in self.scene.network.modules() if isinstance(module, SignActivation)]
        if len(signs) < 2:
            return {}
        ends = stage_ends(self.scene.network)
        signs = [signs[number] for number in ends]
        seen: list[Tensor] = []
        hooks = [sign.register_forward_hook(lambda sign, given, out: seen.append(hardtanh(sign.shift(given[0])))) for sign in signs]
        images = inputs(self.scene, self.scene.data.test.codes[:IMAGES])
        try:
            with torch.no_grad():
                self.scene.network(images)
        finally:
            for hook in hooks:
                hook.remove()
        twin = self._twin().eval()
        with torch.no_grad():
            outputs = twin(images)[1]
            wanted = [outputs[number] for number in ends]
            own = next((module.factors for module in self.scene.method.modules() if isinstance(module, Lcr)), None)
            factors = torch.ones(len(seen), device=images.device) if own is None else own
            scaled = [stage * factor for stage, factor in zip(seen, factors, strict=True)]
            return {"sigma_gap": _gap(scaled, wanted), "sigma_gap_plain": _gap(seen, wanted)}

    def _twin(self) -> FloatTwin:
        scene = self.scene
        for module in scene.method.modules():
            if isinstance(module, Taught):
                return module.teacher
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            twin = FloatTwin(scene.network).to(scene.device)
        train = scene.recipe.train
        fit(twin, Lessons(*tensors(scene.data, scene.data.train, scene.device), train.batch, train.lr, scene.recipe.seed),
            scene.config.teacher_epochs, 1e-3)  # fmt: skip
        return twin


def _gap(student: list[Tensor], teacher: list[Tensor]) -> float:
    gaps = []
    for k in range(len(student) - 1):
        one, other = (
            torch.linalg.matrix_norm(retention(stages[k], stages[k + 1]).double(), ord=2) for stages in (student, teacher)
        )  # fmt: skip
        gaps.append(((one - other).abs() / other.clamp(min=1e-12)).mean())
    return float(torch.stack(gaps).mean())
