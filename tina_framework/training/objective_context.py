"""What all training objectives share: the tokens' layout, the noise process, the conditioning vectors and random draws.

Shapes: B examples, P tokens, D token width, K class slots (`max_classes`, padded), E condition width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.preconditioning import model_input
from tina_framework.denoiser.row_forecast import RowForecast
from tina_framework.interfaces.noise_process import NoiseProcess
from tina_framework.interfaces.randomness import generator_at
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.training.data import ConditionBank

__all__ = ["ObjectiveContext"]


@dataclass
class ObjectiveContext:
    """What objectives need to make denoiser inputs and to read denoiser outputs.

    Attributes:
        config: the training settings.
        spec: the parameters of the target architecture.
        layout: the token layout for `max_classes` classes; tasks with fewer classes leave the last slots empty.
        normalizer: standardises differences from the generic model.
        process: the noise process that the denoiser is trained for.
        conditions: the conditioning vectors of all classes.
        device: where batches are placed.
        rows: the fixed forecast of class rows of this architecture; None: the denoiser's skip learns it.
    """

    config: TrainingConfig
    spec: ParameterSpec
    layout: TokenLayout
    normalizer: Normalizer
    process: NoiseProcess
    conditions: ConditionBank
    device: torch.device
    rows: RowForecast | None = None

    def noise(self, stream: str, step: int, indices: Sequence[int]) -> Tensor:
        """Return (B, P, D) standard normal noise on the host, drawn for each example by `generator_at`."""
        noise = torch.empty(len(indices), self.layout.num_tokens, self.layout.token_width, device="cpu")
        for row, index in zip(noise, indices, strict=True):
            row.normal_(generator=generator_at(self.config.seed, stream, step, index))
        return noise

    def pad_conditions(self, conditions: Sequence[Tensor]) -> Tensor:
        """Pad B tensors (K_b, E) with zeros to (B, K, E), on the host."""
        padded = torch.zeros(len(conditions), self.config.max_classes, self.conditions.width)
        for row, condition in zip(padded, conditions, strict=True):
            row[: len(condition)] = condition
        return padded

    def class_mask(self, count_B: Tensor) -> Tensor:
        """Return (B, K) bool: which slots hold a class, for tasks of `count_B` classes."""
        return torch.arange(self.config.max_classes, device=count_B.device) < count_B[:, None]

    def model_input(self, noisy_BPD: Tensor, t_B: Tensor) -> Tensor:
        """Return x_t in the form that the denoiser reads; see `tina_framework.denoiser.preconditioning`."""
        scaled = self.process.scale_model_input(noisy_BPD, t_B)
        config = self.config
        return model_input(scaled, t_B, self._alphas_cumprod_T, config.prediction_type, config.input_floor)

    @cached_property
    def _alphas_cumprod_T(self) -> Tensor:
        return self.process.alphas_cumprod.to(self.device)

    def draw_condition(
        self, stream: str, step: int, index: int, classes: Sequence[str], unseen: Sequence[int] = ()
    ) -> Tensor:
        """Draw the conditioning vectors (K, E) of one example; `unseen` are places in `classes` to treat as unseen."""
        return self.conditions.draw(
            classes,
            generator_at(self.config.seed, stream, step, index),
            mixing=self.config.template_mixing,
            noise=self.config.condition_noise,
            unseen=unseen,
            unseen_noise=self.config.unseen_class_noise,
        )

    def draw_unseen_classes(self, step: int, index: int, count: int) -> list[int]:
        """Draw the places of the classes that a task treats as unseen.

        With `unseen_class_probability` these are one to half of the task's classes, each number equally likely.
        """
        if not self.config.unseen_class_probability:
            return []
        draws = generator_at(self.config.seed, "task-left-out", step, index)
        if float(torch.rand((), generator=draws)) >= self.config.unseen_class_probability:
            return []
        number = 1 + int(torch.randint(max(1, count // 2), (), generator=draws))
        return sorted(torch.randperm(count, generator=draws)[:number].tolist())
