"""Open what the settings of a training run name: data set, zoo, architecture, start and images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError, DataError, LeakageError
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.targets.functional import resolve_precision
from tina_framework.targets.image_shifts import check_shift
from tina_framework.training.data import TrainingImages
from tina_framework.zoo.small_data import FEW_CLASSES, default_class_counts, default_max_steps
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.teacher import Teacher

__all__ = ["RunInputs", "load_images", "open_inputs"]


@dataclass(frozen=True)
class RunInputs:
    """What the settings of a run name, opened and compared.

    Attributes:
        config: the settings. Defaults that follow the number of classes are filled in.
        dataset: the data set with the images.
        zoo: the zoo with the generic model and the p-Models.
        spec: the parameters of the target architecture.
        seen_classes: the classes that training may use, in the order of the data set.
        start: the generator of `init_from`, or None.
    """

    config: TrainingConfig
    dataset: Dataset
    zoo: Zoo
    spec: ParameterSpec
    seen_classes: tuple[str, ...]
    start: Generator | None

    @property
    def generic(self) -> dict[str, Tensor]:
        """The parameters of the generic model, reduced to `seen_classes`."""
        rows = torch.tensor([self.zoo.class_names.index(name) for name in self.seen_classes])
        return self.spec.select_classes(self.zoo.generic, rows)


def open_inputs(config: TrainingConfig) -> RunInputs:
    """Open what the settings name, and check that it fits together. The images are not read yet.

    Raises:
        ConfigError, DataError, CheckpointError, PluginError: something is missing or does not fit together.
        LeakageError: the zoo was built with classes that are reserved for validation or tests.
    """
    dataset: Dataset = registries().datasets.create(config.dataset)
    zoo = Zoo.open(config.zoo)
    spec = ParameterSpec(registries().architectures.create(config.architecture or zoo.architecture))
    if spec.architecture.name != zoo.architecture:
        raise ConfigError(
            f"The zoo '{config.zoo}' holds networks of '{zoo.architecture}', but the setting architecture is "
            f"'{spec.architecture.name}'. Remove the setting, or build a zoo of that architecture."
        )
    zoo.check(spec)
    check_shift(config.image_shift, spec.architecture)
    seen = _seen_classes(config, dataset, zoo)
    start = None if config.init_from is None else Generator.from_pretrained(config.init_from, device="cpu")
    if start is not None and start.denoiser.config.num_landmarks and "max_classes" not in config.model_fields_set:
        config = config.model_copy(update={"max_classes": start.config.max_classes})
    config = _for_training_length(_for_classes(config, len(seen)), len(seen), spec.is_head)
    return RunInputs(config, dataset, zoo, spec, seen, start)


def load_images(inputs: RunInputs, device: torch.device) -> TrainingImages:
    """Load the images that training draws from, in the type that the target networks compute with.

    Args:
        inputs: what the settings name.
        device: where to keep them.

    Raises:
        ConfigError, DataError, CheckpointError, PluginError: the images or the teacher cannot be read.
        LeakageError: the teacher was trained on a class that training must not see.
    """
    config = inputs.config
    dtype = torch.bfloat16 if resolve_precision(device, config.target_precision) == "bf16" else torch.float32
    teacher = None if config.teacher is None else Teacher.load(config.teacher)
    unseen = [*config.held_out_classes, *config.validation_classes]
    if teacher is not None:
        teacher.check_unseen(unseen)
    return TrainingImages(inputs.dataset, config.train_split, inputs.spec, device, dtype, teacher, unseen)


def _seen_classes(config: TrainingConfig, dataset: Dataset, zoo: Zoo) -> tuple[str, ...]:
    """Return the classes that training may use: those of the zoo without held-out and validation classes."""
    foreign = [name for name in zoo.class_names if name not in dataset.class_names]
    if foreign:
        raise DataError(
            f"The zoo '{config.zoo}' has the class '{foreign[0]}', but the data set '{config.dataset}' does not. "
            "Train on the data set that the zoo was built from."
        )
    unknown = [name for name in config.held_out_classes if name not in dataset.class_names]
    if unknown:
        raise ConfigError(
            f"held_out_classes names '{unknown[0]}', which is no class of the data set '{config.dataset}'. Correct the name."
        )
    strange = [name for name in config.validation_classes if name not in zoo.class_names]
    if strange:
        raise ConfigError(
            f"validation_classes names '{strange[0]}', which is no class of the zoo '{config.zoo}'. Correct the name."
        )
    leaked = [name for name in config.held_out_classes if name in zoo.class_names]
    if leaked:
        raise LeakageError(
            f"held_out_classes names '{leaked[0]}', but the networks of the zoo '{config.zoo}' were trained on this class. "
            "Build a zoo with the same held_out_classes, or remove the class from the setting."
        )
    excluded = {*config.held_out_classes, *config.validation_classes}
    return tuple(name for name in dataset.class_names if name in zoo.class_names and name not in excluded)


def _for_classes(config: TrainingConfig, num_classes: int) -> TrainingConfig:
    """Return the settings with `class_counts` and `max_classes` for that many classes, where the user gave none.

    Raises:
        ConfigError: `images_per_task` is too small for these class counts.
    """
    given = config.model_fields_set
    if {"class_counts", "max_classes"} <= given:
        return config
    limit = config.max_classes if "max_classes" in given else None
    counts = config.class_counts if "class_counts" in given else default_class_counts(num_classes, limit)
    if limit is None:
        limit = max(num_classes if num_classes < FEW_CLASSES else 10, *counts)
    if config.images_per_task < max(counts):
        raise ConfigError(
            f"images_per_task is {config.images_per_task}, but tasks have up to {max(counts)} classes. "
            "Raise images_per_task, or set smaller class_counts."
        )
    return config.model_copy(update={"class_counts": counts, "max_classes": limit})


def _for_training_length(config: TrainingConfig, num_classes: int, is_head: bool) -> TrainingConfig:
    """Return the settings with the length of training for that many classes, where the user gave none.

    The warm-up and the steps between validations, if the user gave none, become shorter in proportion.
    """
    steps = default_max_steps(num_classes, is_head)
    if steps is None or "max_steps" in config.model_fields_set:
        return config
    changes = {"lr_warmup_steps": min(config.lr_warmup_steps, steps // 5), "validation_steps": steps // 4}
    open_changes = {name: value for name, value in changes.items() if name not in config.model_fields_set}
    return config.model_copy(update={"max_steps": steps, **open_changes})
