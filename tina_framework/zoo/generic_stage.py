"""The first stage of a build: the generic model, and ``zoo.json``, which says that it is finished."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import ConfigError
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import check_tensors, write_safetensors
from tina_framework.targets.accuracy import accuracy, logits
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.targets.trunk import trunk_record
from tina_framework.zoo.build_folder import PARTIAL_GENERIC
from tina_framework.zoo.build_plan import BuildPlan
from tina_framework.zoo.generic_training import train_generic
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.manifest import (
    FORMAT,
    GENERIC,
    MANIFEST,
    VERSION,
    read_generic_tensors,
    read_manifest,
    write_manifest,
)
from tina_framework.zoo.p_models import network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["generic_figures", "has_generic", "make_generic", "read_generic"]

GENERIC_SETTINGS = ("architecture", "dataset", "train_split", "held_out_classes", "seed", "generic")
"""The settings on which the generic model depends. A teacher is one more, if the generic model learns from it."""


def has_generic(plan: BuildPlan) -> bool:
    """Return whether the generic model is finished. ``zoo.json`` is written after it."""
    return (plan.folder / MANIFEST).is_file()


def make_generic(plan: BuildPlan, generic_from: Path | None) -> None:
    """Train the generic model, or take that of another zoo, and write ``zoo.json``. Other processes wait for this file."""
    if generic_from is not None:
        _take_generic(plan, generic_from)
    else:
        _train_generic(plan)


def read_generic(plan: BuildPlan) -> dict[str, Tensor]:
    """Read the generic model and compare it with ``zoo.json`` and with the architecture.

    Raises:
        CheckpointError: it is missing or altered, or it does not fit.
    """
    plan.transfer.fetch(plan.folder / GENERIC)
    tensors = read_generic_tensors(plan.folder, read_manifest(plan.folder))
    shapes = {info.name: info.shape for info in plan.spec.parameters(len(plan.dataset.class_names))}
    check_tensors(tensors, shapes, f"'{plan.folder / GENERIC}'")
    for name in (GENERIC, MANIFEST):
        plan.transfer.send(plan.folder / name)
    return tensors


def _train_generic(plan: BuildPlan) -> None:
    folder, config = plan.folder, plan.config
    recipe = SGDRecipe(**config.generic)
    train = ImageBank(plan.dataset, config.train_split, plan.spec, plan.device, plan.progress, plan.teacher)
    # Read before training, so that missing images are reported at once.
    validation = ImageBank(plan.dataset, "validation", plan.spec, plan.device)
    epochs = int(-(-recipe.epochs // 1))
    settings = {name: config.to_json()[name] for name in _generic_settings(config)}
    # A state of other settings must not be continued; the identity tells them apart.
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    state = train_generic(
        plan.spec,
        train,
        recipe,
        config.seed,
        folder / PARTIAL_GENERIC,
        identity,
        lambda epoch, _: plan.progress("generic", epoch, epochs),
    )
    write_safetensors(folder / GENERIC, state, digest=True)
    _declare(plan, {"generic": {"validation": generic_figures(plan.spec, state, validation)}})


def _generic_settings(config: ZooConfig) -> tuple[str, ...]:
    return (*GENERIC_SETTINGS, "teacher") if config.generic.get("teacher_weight") else GENERIC_SETTINGS


def _take_generic(plan: BuildPlan, source: Path) -> None:
    zoo = Zoo.open(source)
    zoo.check(plan.spec)
    odd = [name for name in _generic_settings(plan.config) if name in zoo.config.differences(plan.config)]
    names = checked_names(plan.dataset.class_names, f"Data set '{plan.dataset.name}': class_names")
    if odd or zoo.class_names != names:
        raise ConfigError(
            f"The generic model of '{source}' was made with other settings ({', '.join(odd) or 'classes'}); "
            "use the same ones, or leave out --generic to train one."
        )
    write_safetensors(plan.folder / GENERIC, zoo.generic, digest=True)
    _declare(plan, {"generic": zoo.figures.get("generic", {})})


def _declare(plan: BuildPlan, figures: dict[str, Any]) -> None:
    """Write ``zoo.json``. From then on the folder is a zoo, and other processes may start."""
    manifest: dict[str, Any] = {"format": FORMAT, "version": VERSION, "config": plan.config.to_json()}
    trunk = trunk_record(plan.spec.architecture)
    if trunk is not None:
        manifest["trunk"] = trunk
    if plan.teacher is not None:
        manifest["taught_by"] = plan.teacher.taught_by
    manifest |= {"class_names": list(plan.dataset.class_names), "figures": figures}
    write_manifest(plan.folder, manifest)


def generic_figures(spec: ParameterSpec, state: dict[str, Tensor], bank: ImageBank) -> dict[str, float]:
    """Measure the generic model on a bank's images. All figures are fractions of 1.

    Returns:
        ``accuracy`` over all classes, and ``selection_10_of_all``: the mean accuracy of selection on 100 random tasks
        of ten classes. Selection chooses among the outputs of the task's classes only.
    """
    count = len(bank.class_names)
    flat = spec.flatten(state, count).to(bank.images.device)
    module = network(spec, flat, count)
    scores = logits(module, bank.images)
    draws = torch.Generator().manual_seed(0)
    # A class of a single picture has no validation image. Draws of such classes alone would measure nothing.
    present = torch.isin(torch.arange(count), bank.labels.cpu())
    selection = []
    for _ in range(100):
        order = torch.randperm(count, generator=draws)
        classes = order[present[order]][:10].to(bank.labels.device)
        inside = torch.isin(bank.labels, classes)
        guess = classes[scores[inside][:, classes].argmax(dim=1)]
        selection.append(float((guess == bank.labels[inside]).float().mean()))
    return {
        "accuracy": accuracy(module, bank.images, bank.labels),
        "selection_10_of_all": sum(selection) / len(selection),
    }
