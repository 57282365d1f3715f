"""What a generator is trained for: `task` (its networks classify images) and `denoise` (it reproduces p-Models).

An objective draws rows, which all objectives send through the denoiser together (one forward pass a step, so that
data-parallel training reduces gradients once), and turns its part of the prediction into one loss a row.
Shapes: B rows, P tokens, D token width, K classes (the greatest count, padded), E condition width, N parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.targets.functional import TargetRunner
from tina_framework.training.data import TrainingImages
from tina_framework.training.objective_context import ObjectiveContext
from tina_framework.training.randomness import generator_at
from tina_framework.zoo.task_sampler import TaskSampler

__all__ = ["Batch", "DenoiseObjective", "Objective", "TaskObjective", "loss_weights"]


@dataclass
class Batch:
    """Denoiser inputs of some tasks, and what their objective needs to judge the output.

    Attributes:
        condition_BKE: (B, K, E), zero in padded slots.
        class_mask_BK: (B, K) bool.
        noisy_BPD: (B, P, D) x_t.
        t_B: (B,) int64.
        extra: the objective's own.
    """

    condition_BKE: Tensor
    class_mask_BK: Tensor
    noisy_BPD: Tensor
    t_B: Tensor
    extra: dict[str, Any] = field(default_factory=dict)


class Objective(Protocol):
    """One part of the loss."""

    name: str
    weight: float
    batch_size: int

    def draw(self, step: int, indices: Sequence[int], denoiser: Denoiser) -> Batch:
        """Batch number `indices` of the global batch of `step`. `denoiser`: the present weights, for rollouts."""
        ...

    def losses(self, predicted_BPD: Tensor, batch: Batch) -> Tensor:
        """(B,) one loss a row."""
        ...


class TaskObjective:
    """Cross-entropy of the generated networks on training images of their tasks.

    Most rows start from pure noise at t = T - 1, where the prediction is a regression from the prompt; the others from
    the network's own forecast, noised again to a random t, so that later steps of sampling do not spoil the first.
    With `regression`, every row is zeros at t = T - 1.

    Args:
        context: see `ObjectiveContext`.
        images: training images.
        sampler: draws tasks of the training partition.
        runner: evaluates the generated networks.
    """

    name = "task"

    def __init__(
        self, context: ObjectiveContext, images: TrainingImages, sampler: TaskSampler, runner: TargetRunner
    ) -> None:
        self.context = context
        self.images = images
        self.sampler = sampler
        self.runner = runner
        self.weight = context.config.task_weight
        self.batch_size = context.config.task_batch_size

    def draw(self, step: int, indices: Sequence[int], denoiser: Denoiser) -> Batch:
        context, config = self.context, self.context.config
        tasks = [self.sampler.task(step * self.batch_size + i).classes for i in indices]
        condition, mask = context.pad_conditions(
            [
                context.draw_condition("task-condition", step, i, task, context.draw_unseen_classes(step, i, len(task)))
                for i, task in zip(indices, tasks, strict=True)
            ]
        )
        last = config.num_train_timesteps - 1
        t, rolls = [], []
        for i in indices:
            draws = generator_at(config.seed, "task-timestep", step, i)
            rolls.append(float(torch.rand((), generator=draws)) < config.rollout_probability and not config.regression)
            t.append(int(torch.randint(last, (), generator=draws)) if rolls[-1] else last)
        t_B = torch.tensor(t, device=context.device)
        noisy = context.noise("task-noise", step, indices)
        if config.regression:
            noisy = torch.zeros_like(noisy)
        rolled = [row for row, roll in enumerate(rolls) if roll]
        if rolled:
            noisy[rolled] = self._roll_out(condition[rolled], mask[rolled], noisy[rolled], t_B[rolled], denoiser, [
                indices[row] for row in rolled
            ], step)  # fmt: skip
        drawn = [
            self.images.draw(task, config.images_per_task, generator_at(config.seed, "task-images", step, i))
            for i, task in zip(indices, tasks, strict=True)
        ]
        # One look-up for all tasks: on a GPU many small ones would cost more than the networks.
        rows, flips, slots = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        extra = {
            "counts": [len(task) for task in tasks],
            "images": self.images.take(rows, flips).split(config.images_per_task),
            "labels": slots.to(context.device).split(config.images_per_task),
        }
        return Batch(condition, mask, noisy, t_B, extra)

    @torch.no_grad()
    def _roll_out(
        self,
        condition: Tensor,
        mask: Tensor,
        start: Tensor,
        t_B: Tensor,
        denoiser: Denoiser,
        indices: Sequence[int],
        step: int,
    ) -> Tensor:
        """x_t at `t_B` around the x0 that the denoiser forecasts from pure noise `start`."""
        context = self.context
        last = torch.full_like(t_B, context.config.num_train_timesteps - 1)
        was_training = denoiser.training
        denoiser.eval()
        predicted = denoiser(condition, mask, context.model_input(start, last), last, context.layout)
        denoiser.train(was_training)
        x0 = context.process.predict_original_sample(predicted.float(), last, start)
        noisy: Tensor = context.process.add_noise(x0, context.noise("task-rollout", step, indices), t_B)
        return noisy

    def losses(self, predicted_BPD: Tensor, batch: Batch) -> Tensor:
        flats = self.parameters(predicted_BPD, batch)
        return self.runner.task_loss(flats, batch.extra["counts"], batch.extra["images"], batch.extra["labels"])

    def parameters(self, predicted_BPD: Tensor, batch: Batch) -> list[Tensor]:
        """The predictions as target networks: B vectors (N_b,)."""
        context, most = self.context, self.context.config.max_classes
        x0 = context.process.predict_original_sample(predicted_BPD, batch.t_B, batch.noisy_BPD)
        flat_BN = context.normalizer.denormalize(context.layout.scatter(x0), most)
        return [
            context.spec.narrow(flat, most, count)
            for flat, count in zip(flat_BN.unbind(), batch.extra["counts"], strict=True)
        ]


class DenoiseObjective:
    """Mean squared error against p-Models of the zoo, at all timesteps (arXiv 2006.11239; x0 as in DALL-E 2).

    Every row weighs the same, whatever its class count.

    Args:
        context: see `ObjectiveContext`.
        classes: the class names of each p-Model.
        flats: its parameters, each (N_K,).
    """

    name = "denoise"

    def __init__(self, context: ObjectiveContext, classes: Sequence[tuple[str, ...]], flats: Sequence[Tensor]) -> None:
        self.context = context
        self.classes = list(classes)
        self.weight = context.config.denoise_weight
        self.batch_size = context.config.denoise_batch_size
        most = context.config.max_classes
        wide = [
            context.spec.widen(context.normalizer.normalize(flat, len(names)), len(names), most)
            for flat, names in zip(flats, classes, strict=True)
        ]
        self._normalized_ZN = torch.stack(wide)
        self._weights_T = loss_weights(context.process.alphas_cumprod, context.config).to(context.device)

    def draw(self, step: int, indices: Sequence[int], denoiser: Denoiser) -> Batch:
        context, config = self.context, self.context.config
        names, flats, t = [], [], []
        for i in indices:
            draws = generator_at(config.seed, "denoise", step, i)
            model = int(torch.randint(len(self.classes), (), generator=draws))
            t.append(int(torch.randint(config.num_train_timesteps, (), generator=draws)))
            order = torch.randperm(len(self.classes[model]), generator=draws)
            flat = self._normalized_ZN[model]
            if context.layout.equivariant:
                order = torch.arange(len(order))
            names.append([self.classes[model][k] for k in order])
            flats.append(self._reorder(flat, order))
        condition, mask = context.pad_conditions(
            [context.draw_condition("denoise-condition", step, i, row) for i, row in zip(indices, names, strict=True)]
        )
        t_B = torch.tensor(t, device=context.device)
        clean = context.layout.gather(torch.stack(flats).to(context.device))
        noise = context.noise("denoise-noise", step, indices)
        noisy = context.process.add_noise(clean, noise, t_B)
        target = context.process.prediction_target(clean, noise, t_B)
        return Batch(condition, mask, noisy, t_B, {"target": target})

    def _reorder(self, flat_N: Tensor, order: Tensor) -> Tensor:
        """The same network with its classes in another order; padded slots stay last."""
        most = self.context.config.max_classes
        if torch.equal(order, torch.arange(len(order))):
            return flat_N
        slots = torch.cat([order, torch.arange(len(order), most)])
        spec = self.context.spec
        return spec.flatten(spec.select_classes(spec.unflatten(flat_N, most), slots), most)

    def losses(self, predicted_BPD: Tensor, batch: Batch) -> Tensor:
        real = self.context.layout.element_mask(batch.class_mask_BK)
        squares = (predicted_BPD.float() - batch.extra["target"]).square().masked_fill(~real, 0.0)
        per_row = squares.flatten(1).sum(1) / real.flatten(1).sum(1)
        weighted: Tensor = per_row * self._weights_T[batch.t_B]
        return weighted


def loss_weights(alphas_cumprod_T: Tensor, config: TrainingConfig) -> Tensor:
    """(T,) weight of each timestep: 1, or min(SNR, gamma) / gamma in x0 terms (arXiv 2303.09556), 1 at low noise.

    For the other prediction types the weight is divided by what turns their error into the x0 error: SNR for epsilon,
    SNR + 1 for v_prediction, 1 / s^2 for flow_prediction, where SNR = (1 - s)^2 / s^2.
    """
    if config.snr_gamma is None:
        return torch.ones_like(alphas_cumprod_T)
    snr = alphas_cumprod_T / (1 - alphas_cumprod_T)
    weights = snr.clamp(max=config.snr_gamma) / config.snr_gamma
    if config.prediction_type == "epsilon":
        return weights / snr
    if config.prediction_type == "flow_prediction":
        return weights / (1 + snr.sqrt()) ** 2
    return weights / (snr + 1) if config.prediction_type == "v_prediction" else weights
