"""Training and measuring p-Models (personalised models): the generic model fine-tuned on the images of one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.accuracy import accuracy
from tina_framework.targets.batched import fit_batched
from tina_framework.targets.device import runs_batched
from tina_framework.targets.image_shifts import check_shift
from tina_framework.targets.sgd import SGDRecipe, fit
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.tasks import Task

__all__ = ["fine_tune", "network", "start_of", "task_accuracy", "train_models"]


def start_of(spec: ParameterSpec, generic: Mapping[str, Tensor], labels: Sequence[int]) -> dict[str, Tensor]:
    """Return the generic model with only the rows of the task's classes, where every p-Model starts.

    The baseline *selection* is this network without further training.
    """
    return spec.select_classes(generic, torch.tensor(list(labels)))


def network(spec: ParameterSpec, flat_N: Tensor, num_classes: int) -> nn.Module:
    """Return the architecture's module with the given parameters (N,), on their device."""
    module = spec.architecture.build(num_classes).to(flat_N.device)
    module.load_state_dict(spec.unflatten(flat_N.float(), num_classes), strict=False)
    return module


def fine_tune(
    spec: ParameterSpec,
    generic: Mapping[str, Tensor],
    classes: Sequence[str],
    bank: ImageBank,
    recipe: SGDRecipe,
    seed: int,
) -> Tensor:
    """Train one p-Model and return its parameters (N,), on the CPU.

    Raises:
        ConfigError: the recipe shifts images, and the architecture does not allow it.
        TrainingError: the loss is not finite.
    """
    check_shift(recipe.image_shift, spec.architecture)
    labels = bank.labels_of(classes)
    rows, slots = bank.rows(classes)
    start = spec.flatten(start_of(spec, generic, labels), len(classes))
    module = network(spec, start.to(bank.images.device), len(classes))
    fit(
        module,
        bank.images[rows],
        slots,
        recipe,
        seed,
        mirrored=bank.mirrored_rows(rows) if recipe.flip else None,
        teacher=bank.teacher_rows(rows, labels),
    )
    return spec.flatten(dict(module.named_parameters()), len(classes)).detach().cpu()


def task_accuracy(spec: ParameterSpec, flat_N: Tensor, classes: Sequence[str], bank: ImageBank) -> float:
    """Return the accuracy of a network (N,) on a bank's images of its classes: a fraction of 1."""
    rows, slots = bank.rows(classes)
    module = network(spec, flat_N.to(bank.images.device), len(classes))
    return accuracy(module, bank.images[rows], slots)


def train_models(
    spec: ParameterSpec,
    generic: Mapping[str, Tensor],
    tasks: Sequence[tuple[int, int, Task]],
    train: ImageBank,
    validation: ImageBank,
    recipe: SGDRecipe,
) -> list[tuple[ZooEntry, Tensor]]:
    """Train and measure the p-Models of several tasks: one by one on a CPU, all at once on a GPU.

    Args:
        spec: parameters of the architecture.
        generic: the generic model.
        tasks: (id, seed, task) of each p-Model. On a GPU, only tasks with equal numbers of classes and images are trained
            together, so equal numbers are fastest.
        train: images to train on.
        validation: images to measure on.
        recipe: how to train.

    Returns:
        The index entry and the parameters (N,) of each p-Model, in the order of `tasks`.
    """
    if runs_batched(train.images.device):
        flats = _train_batched(spec, generic, tasks, train, recipe)
    else:
        flats = [fine_tune(spec, generic, task.classes, train, recipe, seed) for _, seed, task in tasks]
    models = []
    for (model_id, seed, task), flat in zip(tasks, flats, strict=True):
        start = spec.flatten(start_of(spec, generic, train.labels_of(task.classes)), len(task.classes))
        entry = ZooEntry(
            id=model_id,
            classes=task.classes,
            seed=seed,
            validation_accuracy=task_accuracy(spec, flat, task.classes, validation),
            selection_accuracy=task_accuracy(spec, start, task.classes, validation),
        )
        models.append((entry, flat))
    return models


def _train_batched(
    spec: ParameterSpec,
    generic: Mapping[str, Tensor],
    tasks: Sequence[tuple[int, int, Task]],
    train: ImageBank,
    recipe: SGDRecipe,
) -> list[Tensor]:
    """Train groups of tasks together. The tasks of a group have the same number of classes and of images."""
    picked = [train.rows(task.classes) for _, _, task in tasks]
    groups: dict[tuple[int, int], list[int]] = {}
    for i, (_, _, task) in enumerate(tasks):
        groups.setdefault((len(task.classes), len(picked[i][0])), []).append(i)
    flats: list[Tensor] = [torch.empty(0)] * len(tasks)
    for (num_classes, _), members in groups.items():
        starts = [
            spec.flatten(start_of(spec, generic, train.labels_of(tasks[i][2].classes)), num_classes) for i in members
        ]
        trained = fit_batched(
            spec,
            num_classes,
            torch.stack(starts),
            train.images,
            [picked[i][0] for i in members],
            [picked[i][1] for i in members],
            recipe,
            [tasks[i][1] for i in members],
            train.mirrored if recipe.flip else None,
            _teachers(train, [tasks[i][2] for i in members], [picked[i][0] for i in members]),
        )
        for i, flat in zip(members, trained.cpu(), strict=True):
            flats[i] = flat
    return flats


def _teachers(bank: ImageBank, tasks: Sequence[Task], rows: Sequence[Tensor]) -> list[Tensor] | None:
    """Return the teacher's logits (2, M, K) of each task's images, or None without a teacher."""
    found = [bank.teacher_rows(own, bank.labels_of(task.classes)) for task, own in zip(tasks, rows, strict=True)]
    return [part for part in found if part is not None] or None
