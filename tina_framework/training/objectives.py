"""What a generator is trained for: `task` (its networks classify images) and `denoise` (it reproduces p-Models).

An objective draws rows, which all objectives send through the denoiser together (one forward pass a step, so that
data-parallel training reduces gradients once), and turns its part of the prediction into one loss a row.
Shapes: B rows, P tokens, D token width, K classes (the greatest count, padded), E condition width, N parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.targets.functional import TargetRunner
from tina_framework.training.data import TrainingImages
from tina_framework.training.randomness import generator_at
from tina_framework.training.rows import Rows, Setting
from tina_framework.zoo.task_sampler import TaskSampler

__all__ = ["DenoiseObjective", "Objective", "TaskObjective", "loss_weights"]


class Objective(Protocol):
    """One part of the loss."""

    name: str
    weight: float
    batch_size: int

    def draw(self, step: int, indices: Sequence[int], denoiser: Denoiser) -> Rows:
        """Rows number `indices` of the global batch of `step`. `denoiser`: the present weights, for rollouts."""
        ...

    def losses(self, predicted_BPD: Tensor, rows: Rows) -> Tensor:
        """(B,) one loss a row."""
        ...


class TaskObjective:
    """Cross-entropy of the generated networks on training images of their tasks.

    Most rows start from pure noise at t = T - 1, where the prediction is a regression from the prompt; the others from
    the network's own forecast, noised again to a random t, so that later steps of sampling do not spoil the first.
    With `regression`, every row is zeros at t = T - 1.

    Args:
        setting: see `Setting`.
        images: training images.
        sampler: draws tasks of the training partition.
        runner: evaluates the generated networks.
    """

    name = "task"

    def __init__(self, setting: Setting, images: TrainingImages, sampler: TaskSampler, runner: TargetRunner) -> None:
        self.setting = setting
        self.images = images
        self.sampler = sampler
        self.runner = runner
        self.weight = setting.config.task_weight
        self.batch_size = setting.config.task_batch_size

    def draw(self, step: int, indices: Sequence[int], denoiser: Denoiser) -> Rows:
        setting, config = self.setting, self.setting.config
        tasks = [self.sampler.task(step * self.batch_size + i).classes for i in indices]
        condition, mask = setting.pad_conditions(
            [
                setting.draw_condition("task-condition", step, i, task, setting.draw_unseen_classes(step, i, len(task)))
                for i, task in zip(indices, tasks, strict=True)
            ]
        )
        last = config.num_train_timesteps - 1
        t, rolls = [], []
        for i in indices:
            draws = generator_at(config.seed, "task-timestep", step, i)
            rolls.append(float(torch.rand((), generator=draws)) < config.rollout_probability and not config.regression)
            t.append(int(torch.randint(last, (), generator=draws)) if rolls[-1] else last)
        t_B = torch.tensor(t, device=setting.device)
        noisy = setting.noise("task-noise", step, indices)
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
            "labels": slots.to(setting.device).split(config.images_per_task),
        }
        return Rows(condition, mask, noisy, t_B, extra)

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
        setting = self.setting
        last = torch.full_like(t_B, setting.config.num_train_timesteps - 1)
        was_training = denoiser.training
        denoiser.eval()
        predicted = denoiser(condition, mask, setting.model_input(start, last), last, setting.layout)
        denoiser.train(was_training)
        x0 = setting.process.predict_original_sample(predicted.float(), last, start)
        noisy: Tensor = setting.process.add_noise(x0, setting.noise("task-rollout", step, indices), t_B)
        return noisy

    def losses(self, predicted_BPD: Tensor, rows: Rows) -> Tensor:
        flats = self.parameters(predicted_BPD, rows)
        return self.runner.task_loss(flats, rows.extra["counts"], rows.extra["images"], rows.extra["labels"])

    def parameters(self, predicted_BPD: Tensor, rows: Rows) -> list[Tensor]:
        """The predictions as target networks: B vectors (N_b,)."""
        setting, most = self.setting, self.setting.config.max_classes
        x0 = setting.process.predict_original_sample(predicted_BPD, rows.t_B, rows.noisy_BPD)
        flat_BN = setting.normalizer.denormalize(setting.layout.scatter(x0), most)
        return [
            setting.spec.narrow(flat, most, count)
            for flat, count in zip(flat_BN.unbind(), rows.extra["counts"], strict=True)
        ]


class DenoiseObjective:
    """Mean squared error against p-Models of the zoo, at all timesteps (arXiv 2006.11239; x0 as in DALL-E 2).

    Every row weighs the same, whatever its class count.

    Args:
        setting: see `Setting`.
        classes: the class names of each p-Model.
        flats: its parameters, each (N_K,).
    """

    name = "denoise"

    def __init__(self, setting: Setting, classes: Sequence[tuple[str, ...]], flats: Sequence[Tensor]) -> None:
        self.setting = setting
        self.classes = list(classes)
        self.weight = setting.config.denoise_weight
        self.batch_size = setting.config.denoise_batch_size
        most = setting.config.max_classes
        wide = [
            setting.spec.widen(setting.normalizer.normalize(flat, len(names)), len(names), most)
            for flat, names in zip(flats, classes, strict=True)
        ]
        self._normalized_ZN = torch.stack(wide)
        self._weights_T = loss_weights(setting.process.alphas_cumprod, setting.config).to(setting.device)

    def draw(self, step: int, indices: Sequence[int], denoiser: Denoiser) -> Rows:
        setting, config = self.setting, self.setting.config
        names, flats, t = [], [], []
        for i in indices:
            draws = generator_at(config.seed, "denoise", step, i)
            model = int(torch.randint(len(self.classes), (), generator=draws))
            t.append(int(torch.randint(config.num_train_timesteps, (), generator=draws)))
            order = torch.randperm(len(self.classes[model]), generator=draws)
            flat = self._normalized_ZN[model]
            if setting.layout.equivariant:
                order = torch.arange(len(order))
            names.append([self.classes[model][k] for k in order])
            flats.append(self._reorder(flat, order))
        condition, mask = setting.pad_conditions(
            [setting.draw_condition("denoise-condition", step, i, row) for i, row in zip(indices, names, strict=True)]
        )
        t_B = torch.tensor(t, device=setting.device)
        clean = setting.layout.gather(torch.stack(flats).to(setting.device))
        noise = setting.noise("denoise-noise", step, indices)
        noisy = setting.process.add_noise(clean, noise, t_B)
        target = setting.process.prediction_target(clean, noise, t_B)
        return Rows(condition, mask, noisy, t_B, {"target": target})

    def _reorder(self, flat_N: Tensor, order: Tensor) -> Tensor:
        """The same network with its classes in another order; padded slots stay last."""
        most = self.setting.config.max_classes
        if torch.equal(order, torch.arange(len(order))):
            return flat_N
        slots = torch.cat([order, torch.arange(len(order), most)])
        spec = self.setting.spec
        return spec.flatten(spec.select_classes(spec.unflatten(flat_N, most), slots), most)

    def losses(self, predicted_BPD: Tensor, rows: Rows) -> Tensor:
        real = self.setting.layout.element_mask(rows.class_mask_BK)
        squares = (predicted_BPD.float() - rows.extra["target"]).square().masked_fill(~real, 0.0)
        per_row = squares.flatten(1).sum(1) / real.flatten(1).sum(1)
        weighted: Tensor = per_row * self._weights_T[rows.t_B]
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
