"""Train TAPER (`tina_framework.evaluation.taper_model`): bases and mixer together, through the loss of the mixed
networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tina_framework.errors import ConfigError, TrainingError
from tina_framework.evaluation.taper_model import TaperModel
from tina_framework.interfaces.randomness import generator_at
from tina_framework.targets.distillation import SoftTargets
from tina_framework.targets.functional import TargetRunner
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.zoo.task_sampler import TaskSampler

__all__ = ["TaperRecipe", "train_taper"]


@dataclass(frozen=True)
class TaperRecipe:
    """Settings of AdamW with a linear warm-up and a cosine decay to zero.

    Args:
        steps: number of optimiser steps.
        tasks_per_step: number of tasks whose losses are averaged.
        images_per_task: number of training images for each task.
        lr: peak learning rate of the bases.
        mixer_lr: peak learning rate of the mixer.
        weight_decay: weight decay of both.
        spread: how different the bases are at the start; see `TaperModel.start_from`.
        warmup: share of the steps with a rising learning rate.
        seed: seed of every random draw.
        teacher_weight: with a teacher, its share in the loss (`tina_framework.targets.distillation`).
        teacher_temperature: with a teacher, the temperature of that part.

    Raises:
        ConfigError: a value is out of range.
    """

    steps: int = 1600
    tasks_per_step: int = 8
    images_per_task: int = 200
    lr: float = 1e-3
    mixer_lr: float = 3e-3
    weight_decay: float = 1e-4
    spread: float = 0.1
    warmup: float = 0.05
    seed: int = 0
    teacher_weight: float = 0.9
    teacher_temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("steps", "tasks_per_step", "images_per_task", "lr", "mixer_lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"TAPER's {name} is {getattr(self, name)}; it must be above 0.")
        if not (0 <= self.weight_decay < math.inf and 0 <= self.spread < math.inf and 0 <= self.warmup <= 1):
            raise ConfigError(
                f"TAPER's weight_decay, spread and warmup are {self.weight_decay}, {self.spread} and {self.warmup}; "
                "all must be at least 0, and warmup at most 1."
            )

    def rate(self, step: int) -> float:
        """Return the share of the peak learning rate in a step; steps count from 0."""
        rising = self.warmup * self.steps
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1.0, self.steps - rising)))


def train_taper(
    taper: TaperModel,
    images: TrainingImages,
    conditions: ConditionBank,
    sampler: TaskSampler,
    runner: TargetRunner,
    recipe: TaperRecipe,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> TaperModel:
    """Train a TAPER model in place.

    Args:
        taper: a model after `TaperModel.start_from`, on the device of the images.
        images: training images. If they have a teacher, the networks learn from it as well.
        conditions: condition vectors in the space of `taper`.
        sampler: draws tasks of the training partition.
        runner: runs the mixed networks.
        recipe: settings.
        on_step: called after each step with the number of finished steps and the mean loss.

    Raises:
        TrainingError: a loss is not finite. The weights are those before that step.
    """
    number = {name: i for i, name in enumerate(taper.config.class_names)}
    mixer = [parameter for name, parameter in taper.named_parameters() if name != "bases"]
    groups = [{"params": [taper.bases], "peak": recipe.lr}, {"params": mixer, "peak": recipe.mixer_lr}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
    device = taper.bases.device
    taper.train()
    for step in range(recipe.steps):
        places = range(step * recipe.tasks_per_step, (step + 1) * recipe.tasks_per_step)
        tasks = [sampler.task(place).classes for place in places]
        most = max(len(task) for task in tasks)
        flats, batches, labels, masks, said = [], [], [], [], []
        for place, task in zip(places, tasks, strict=True):
            draws = generator_at(recipe.seed, "taper", place)
            condition = conditions.draw(task, draws, mixing=True, noise=0.0).to(device)
            rows, flips, slots = images.draw(task, recipe.images_per_task, draws)
            classes = torch.tensor([[number[name] for name in task]], device=device)
            flats.append(runner.spec.widen(taper.networks(condition[None], classes)[0], len(task), most))
            masks.append(torch.arange(most, device=device) < len(task))
            at = images.places(rows, flips).to(device)
            batches.append(images.at(at))
            columns = torch.tensor([images.labels_of(task)], device=device)
            logits = images.teacher_at(at[None], columns)
            if logits is not None:
                said.append(torch.nn.functional.pad(logits[0], (0, most - len(task))))
            labels.append(slots.to(device))
        stacked = [torch.stack(parts) for parts in (flats, masks, batches, labels)]
        soft = SoftTargets(torch.stack(said), recipe.teacher_weight, recipe.teacher_temperature) if said else None
        loss = runner.task_loss(stacked[0], stacked[1], stacked[2], stacked[3], soft).mean()
        if not bool(loss.isfinite()):
            raise TrainingError(
                f"TAPER's loss became {float(loss.detach())} at step {step}; "
                f"lower its learning rates (now {recipe.lr:g} and {recipe.mixer_lr:g})."
            )
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * recipe.rate(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        on_step(step + 1, float(loss.detach()))
    return taper.eval()
