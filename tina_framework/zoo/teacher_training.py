"""Training a teacher: a network of any registered architecture over all classes, and its logits of all training pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.errors import ConfigError
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.paths import user_path
from tina_framework.targets.accuracy import logits
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.generic_training import train_generic
from tina_framework.zoo.image_bank import ImageBank, for_architecture, load_split
from tina_framework.zoo.p_models import network
from tina_framework.zoo.subset import without_classes
from tina_framework.zoo.teacher import Teacher

__all__ = ["best_temperature", "train_teacher"]


def train_teacher(
    out: Path,
    dataset: Dataset,
    spec: ParameterSpec,
    recipe: SGDRecipe,
    *,
    taught_by: str,
    split: str = "train",
    held_out: Sequence[str] = (),
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Mapping[str, Any]:
    """Train a network over all classes, calibrate it on validation pictures, and write its logits.

    A stopped run continues after the last finished epoch when called again.

    Args:
        out: the file of the table.
        dataset: the data set, with all of its classes.
        spec: parameters of the teacher's architecture.
        recipe: how to train.
        taught_by: what the teacher is, for tables.
        split: the pictures to train on and to write logits of.
        held_out: classes that the teacher must not see.
        seed: seed of the initial weights and of the order of the pictures.
        device: where to train.
        progress: called with (stage, done, total); the stages are those of a zoo's build.

    Returns:
        The record of the table: settings, accuracy on validation pictures, and temperature.

    Raises:
        ConfigError: the file cannot be written there, or the recipe itself needs a teacher.
        DataError: pictures are missing.
    """
    out = user_path(out)
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigError(
            f"'{out}' cannot be written: it is a folder, or its folder does not exist. Choose another file."
        )
    if recipe.teacher_weight:
        raise ConfigError("A teacher learns from labels alone. Remove teacher_weight from the recipe.")
    seen = without_classes(dataset, held_out)
    train = ImageBank(seen, split, spec, device, progress)
    validation = ImageBank(seen, "validation", spec, device)
    settings = {
        "architecture": spec.architecture.name,
        "split": split,
        "held_out_classes": list(held_out),
        "seed": seed,
        "recipe": {name: getattr(recipe, name) for name in ("epochs", "batch_size", "lr", "momentum", "weight_decay")},
    }
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    partial = out.with_name(f"{out.name}.partial")
    epochs = int(-(-recipe.epochs // 1))
    state = train_generic(
        spec, train, recipe, seed, partial, identity, lambda epoch, _: progress("teacher", epoch, epochs)
    )
    count = len(seen.class_names)
    module = network(spec, spec.flatten(state, count).to(train.images.device), count)
    tested = logits(module, validation.images)
    temperature = best_temperature(tested, validation.labels)
    mirrored = train.images.flip(-1) if train.mirrored is None else train.mirrored
    said = torch.stack([logits(module, train.images), logits(module, mirrored)]) / temperature
    record = {
        **settings,
        "validation_accuracy": float((tested.argmax(1) == validation.labels).float().mean()),
        "train_accuracy": float((said[0].argmax(1) == train.labels).float().mean()),
        "temperature": temperature,
    }
    pictures = load_split(for_architecture(seen, spec.architecture), split)
    Teacher.of(pictures, seen.class_names, said, taught_by, record).save(out)
    partial.unlink(missing_ok=True)
    return record


def best_temperature(logits_NC: Tensor, labels_N: Tensor) -> float:
    """Return the temperature at which logits predict labels best (Guo et al., arXiv 1706.04599, section 4.2).

    A network that was trained to the end is too sure of its training pictures, and a teacher should not be.
    """
    candidates = torch.logspace(-1, 1, 201).tolist()
    losses = [float(F.cross_entropy(logits_NC.float() / t, labels_N)) for t in candidates]
    return float(candidates[min(range(len(losses)), key=losses.__getitem__)])
