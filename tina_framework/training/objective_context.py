"""Batch: what an objective sends through the denoiser, and what objectives need to make them.

Shapes: B rows, P tokens, D token width, K classes (the greatest count, padded), E condition width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.preconditioning import model_input
from tina_framework.interfaces.noise_process import NoiseProcess
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.training.data import ConditionBank
from tina_framework.training.randomness import generator_at

__all__ = ["ObjectiveContext"]


@dataclass
class ObjectiveContext:
    """What the objectives share.

    Attributes:
        layout: of `max_classes` classes; smaller tasks leave the last slots empty.
        process: the noise process that the denoiser is trained for.
    """

    config: TrainingConfig
    spec: ParameterSpec
    layout: TokenLayout
    normalizer: Normalizer
    process: NoiseProcess
    conditions: ConditionBank
    device: torch.device

    def noise(self, stream: str, step: int, indices: Sequence[int]) -> Tensor:
        """(B, P, D) standard normal, row by row from its place."""
        shape = (self.layout.num_tokens, self.layout.token_width)
        rows = [torch.randn(shape, generator=generator_at(self.config.seed, stream, step, i)) for i in indices]
        return torch.stack(rows).to(self.device)

    def pad_conditions(self, conditions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """B tensors (K_b, E) -> (B, K, E) and the class mask (B, K)."""
        most = self.config.max_classes
        padded = torch.zeros(len(conditions), most, self.conditions.width)
        mask = torch.zeros(len(conditions), most, dtype=torch.bool)
        for row, condition in enumerate(conditions):
            padded[row, : len(condition)] = condition
            mask[row, : len(condition)] = True
        return padded.to(self.device), mask.to(self.device)

    def model_input(self, noisy_BPD: Tensor, t_B: Tensor) -> Tensor:
        """What the denoiser is shown of x_t."""
        scaled = self.process.scale_model_input(noisy_BPD, t_B)
        return model_input(scaled, t_B, self.process.alphas_cumprod, self.config.prediction_type)

    def draw_condition(
        self, stream: str, step: int, index: int, classes: Sequence[str], left_out: Sequence[int] = ()
    ) -> Tensor:
        """(K, E) of one training row. `left_out`: places in `classes` of those treated as never seen."""
        return self.conditions.draw(
            classes,
            generator_at(self.config.seed, stream, step, index),
            mixing=self.config.template_mixing,
            noise=self.config.condition_noise,
            left_out=left_out,
            unseen_class_noise=self.config.unseen_class_noise,
        )

    def draw_unseen_classes(self, step: int, index: int, count: int) -> list[int]:
        """Which of a task's classes are treated as never seen: none, or one to half of them, equally likely."""
        if not self.config.unseen_class_probability:
            return []
        draws = generator_at(self.config.seed, "task-left-out", step, index)
        if float(torch.rand((), generator=draws)) >= self.config.unseen_class_probability:
            return []
        number = 1 + int(torch.randint(max(1, count // 2), (), generator=draws))
        return sorted(torch.randperm(count, generator=draws)[:number].tolist())
