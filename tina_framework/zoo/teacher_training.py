"""Training a teacher: a network of any registered architecture over all classes, and its logits of all training pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.locks import folder_lock
from tina_framework.storage.paths import user_path
from tina_framework.targets.accuracy import logits
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.targets.trunk import trunk_record
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

    A stopped run continues after the last finished epoch when called again. A finished one returns its record.

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
        The record of the table: settings, accuracy on validation pictures, and temperature. If it learns from the validation
        pictures too, the accuracy is None and the temperature is 1.

    Raises:
        ConfigError: the file cannot be written there, or holds something else; or the recipe itself needs a teacher; or a
            frozen trunk may know held-out classes; or the pictures cannot be shifted as the recipe says.
        DataError: pictures are missing.
    """
    out = user_path(out)
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigError(
            f"'{out}' cannot be written: it is a folder, or its folder does not exist. Choose another file."
        )
    if recipe.teacher_weight:
        raise ConfigError("A teacher learns from labels alone. Remove teacher_weight from the recipe.")
    if held_out and spec.architecture.trunk is not None:
        raise ConfigError(
            f"The frozen trunk of '{spec.architecture.name}' may have been trained on held-out classes. "
            "Use an architecture without a trunk."
        )
    with folder_lock(out.parent, "trains a teacher", name=f".{out.name}.lock"):
        return _train(
            out, without_classes(dataset, held_out), spec, recipe, taught_by, split, held_out, seed, device, progress
        )


def _train(
    out: Path,
    seen: Dataset,
    spec: ParameterSpec,
    recipe: SGDRecipe,
    taught_by: str,
    split: str,
    held_out: Sequence[str],
    seed: int,
    device: torch.device | str,
    progress: Callable[[str, int, int], None],
) -> Mapping[str, Any]:
    pictures = load_split(for_architecture(seen, spec.architecture), split)
    settings = {
        "architecture": spec.architecture.name,
        "split": split,
        "held_out_classes": list(held_out),
        "seed": seed,
        # A recipe without shifts has no such field, so that teachers made before the field existed are still found.
        "recipe": {name: value for name, value in asdict(recipe).items() if name != "image_shift" or value},
    }
    identity = _identity(settings, seen, pictures, spec)
    partial = out.with_name(f"{out.name}.partial")
    if out.exists():
        record = _finished(out, identity, taught_by)
        partial.unlink(missing_ok=True)  # the run may have been killed right after it wrote the table
        return record
    # Labels and colours are kept, and the pictures themselves are not: they may be large.
    table = Teacher.of(pictures, seen.class_names, torch.empty(0), taught_by, {})
    del pictures
    train = ImageBank(seen, split, spec, device, progress)
    # A network that learnt from the validation pictures cannot be calibrated or measured on them.
    held_back = None if "validation" in split.split("+") else ImageBank(seen, "validation", spec, device)
    epochs = int(-(-recipe.epochs // 1))
    state = train_generic(
        spec, train, recipe, seed, partial, identity, lambda epoch, _: progress("teacher", epoch, epochs)
    )
    count = len(seen.class_names)
    module = network(spec, spec.flatten(state, count).to(train.images.device), count)
    temperature, accuracy = 1.0, None
    if held_back is not None:
        tested = logits(module, held_back.images)
        temperature = best_temperature(tested, held_back.labels)
        accuracy = float((tested.argmax(1) == held_back.labels).float().mean())
    mirrored = train.images.flip(-1) if train.mirrored is None else train.mirrored
    said = torch.stack([logits(module, train.images), logits(module, mirrored)]) / temperature
    record = {
        **settings,
        "identity": identity,
        "validation_accuracy": accuracy,
        "train_accuracy": float((said[0].argmax(1) == train.labels).float().mean()),
        "temperature": temperature,
    }
    replace(table, logits=said.half().cpu(), record=record).save(out)
    partial.unlink(missing_ok=True)
    return record


def _identity(settings: Mapping[str, Any], seen: Dataset, pictures: LabelledImages, spec: ParameterSpec) -> str:
    """Return a digest of all that the teacher's weights follow from. A state of anything else must not be continued."""
    digest = hashlib.sha256(np.ascontiguousarray(pictures.images).data)
    digest.update(np.ascontiguousarray(pictures.labels.astype("int64")).data)
    data = {"name": seen.name, "class_names": list(seen.class_names), "pictures": digest.hexdigest()}
    all_of_it = {**settings, "dataset": data, "trunk": trunk_record(spec.architecture)}
    return hashlib.sha256(json.dumps(all_of_it, sort_keys=True).encode()).hexdigest()


def _finished(out: Path, identity: str, taught_by: str) -> Mapping[str, Any]:
    """Return the record of a file that an earlier run of the same settings wrote.

    Raises:
        ConfigError: the file holds anything else.
    """
    try:
        teacher = Teacher.load(out)
    except CheckpointError as error:
        raise ConfigError(f"'{out}' would be overwritten. {error} Or choose another file with --out.") from error
    if (teacher.record.get("identity"), teacher.taught_by) != (identity, taught_by):
        raise ConfigError(
            f"'{out}' holds a teacher of other settings or pictures. Choose another file, or remove this one."
        )
    return teacher.record


def best_temperature(logits_NC: Tensor, labels_N: Tensor) -> float:
    """Return the temperature at which logits predict labels best (Guo et al., arXiv 1706.04599, section 4.2).

    A network that was trained to the end is too sure of its training pictures, and a teacher should not be.
    """
    candidates = torch.logspace(-1, 1, 201).tolist()
    losses = [float(F.cross_entropy(logits_NC.float() / t, labels_N)) for t in candidates]
    return float(candidates[min(range(len(losses)), key=losses.__getitem__)])
