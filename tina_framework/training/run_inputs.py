"""Open what the settings of a training run name: data set, zoo, architecture, start and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError, DataError, LeakageError
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.architecture_registry import split_width
from tina_framework.plugin.discovery import registries
from tina_framework.targets.functional import resolve_precision
from tina_framework.targets.image_shifts import check_shift
from tina_framework.training.data import TrainingImages
from tina_framework.zoo.small_data import FEW_CLASSES, default_class_counts, default_max_steps
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.teacher import Teacher

__all__ = ["RunInputs", "load_images", "open_inputs", "open_targets"]


@dataclass(frozen=True)
class RunInputs:
    """What the settings of a run name for one architecture, opened and compared.

    Attributes:
        config: the settings. Defaults that follow the number of classes are filled in.
        dataset: the data set with the images.
        zoo: the zoo with the generic model and the p-Models.
        spec: the parameters of the target architecture.
        seen_classes: the classes that training may use, in the order of the data set.
        start: the generator of `init_from`, or None.
        weight: how often the architecture is trained, in proportion to the weights of the others; 0: never.
    """

    config: TrainingConfig
    dataset: Dataset
    zoo: Zoo
    spec: ParameterSpec
    seen_classes: tuple[str, ...]
    start: Generator | None
    weight: float = 1.0

    @property
    def generic(self) -> dict[str, Tensor]:
        """The parameters of the generic model, reduced to `seen_classes`."""
        rows = torch.tensor([self.zoo.class_names.index(name) for name in self.seen_classes])
        return self.spec.select_classes(self.zoo.generic, rows)


def open_inputs(config: TrainingConfig) -> RunInputs:
    """Open what the settings name for the first architecture of a run; see `open_targets`."""
    return open_targets(config)[0]


def open_targets(config: TrainingConfig) -> list[RunInputs]:
    """Open what the settings name, and check that it fits together: one entry for each architecture.

    The images are not read yet. Architectures that are not trained come last.

    Raises:
        ConfigError, DataError, CheckpointError, PluginError: something is missing or does not fit together.
        LeakageError: the zoo was built with classes that are reserved for validation or tests.
    """
    dataset: Dataset = registries().datasets.create(config.dataset)
    places: list[Path | str] = [config.zoo, *config.zoos]
    zoos = [Zoo.open(place) for place in places]
    weights = config.architectures or {config.architecture or zoos[0].architecture: 1.0}
    found = [(*_matched(name, zoos, config), weight) for name, weight in weights.items()]
    _check_different(list(weights), [entry[0] for entry in found])
    found.sort(key=lambda entry: entry[2] == 0)
    spec = found[0][0]
    seen = _seen_classes(config, dataset, found[0][1])
    for other, zoo, _ in found:
        check_shift(config.image_shift, other.architecture)
        if _pictures(other) != _pictures(spec):
            raise ConfigError(
                f"The architectures '{spec.architecture.name}' and '{other.architecture.name}' read pictures of different sizes or "
                "scales, so one run cannot train both. Train a generator for each."
            )
        if _seen_classes(config, dataset, zoo) != seen:
            raise ConfigError(
                f"The zoos of '{spec.architecture.name}' and '{other.architecture.name}' know different classes. Build them from one "
                "data set, with the same held_out_classes."
            )
    start = None if config.init_from is None else Generator.from_pretrained(config.init_from, device="cpu")
    if start is not None and start.denoiser.config.num_landmarks and "max_classes" not in config.model_fields_set:
        config = config.model_copy(update={"max_classes": start.config.max_classes})
    config = _for_training_length(_for_classes(config, len(seen)), len(seen), spec.is_head)
    trained = [other for other, _, weight in found if weight > 0]
    return [
        RunInputs(config, dataset, zoo, other if weight > 0 else _as_relative(other, trained), seen, start, weight)
        for other, zoo, weight in found
    ]


def _as_relative(spec: ParameterSpec, trained: Sequence[ParameterSpec]) -> ParameterSpec:
    """Return the parameters of an architecture that is not trained, which is written as the next wider one that is.

    Raises:
        ConfigError: no wider architecture of its family is trained.
    """
    one = spec.architecture
    family = [other for other in trained if other.architecture.family == one.family]
    wider = [other for other in family if other.architecture.width > one.width]
    if not wider:
        raise ConfigError(
            f"The setting architectures gives '{one.name}' the weight 0, so it would be written as a wider network of its family, but "
            f"none is trained. Trained: {', '.join(other.architecture.name for other in trained)}. Train it, or leave it out."
        )
    return ParameterSpec(one, min(wider, key=lambda other: other.architecture.width))


def _matched(name: str, zoos: Sequence[Zoo], config: TrainingConfig) -> tuple[ParameterSpec, Zoo]:
    """Return the parameters of an architecture, and the zoo that has a generic model of it.

    Raises:
        ConfigError: no zoo has one.
        CheckpointError: the zoo does not fit the architecture.
    """
    spec = ParameterSpec(registries().architectures.create(name))
    own = [zoo for zoo in zoos if split_width(zoo.architecture)[0] == spec.architecture.family]
    if not own and not config.architectures:
        raise ConfigError(
            f"The zoo '{config.zoo}' holds networks of '{zoos[0].architecture}', but the setting architecture is "
            f"'{spec.architecture.name}'. Remove the setting, or build a zoo of that architecture."
        )
    if not own:
        raise ConfigError(
            f"The setting architectures names '{name}', but the zoos hold networks of {', '.join(zoo.architecture for zoo in zoos)}. "
            "Build a zoo of it, and add its folder to zoos."
        )
    exact = [zoo for zoo in own if zoo.architecture == spec.architecture.name]
    wider = [zoo for zoo in own if spec.architecture.width in zoo.config.generic_widths]
    zoo = (exact or wider or own)[0].narrowed(spec)
    zoo.check(spec)
    return spec, zoo


def _check_different(names: Sequence[str], specs: Sequence[ParameterSpec]) -> None:
    """Refuse two names of one architecture.

    Raises:
        ConfigError: the setting `architectures` has two.
    """
    first: dict[str, str] = {}
    for name, spec in zip(names, specs, strict=True):
        other = first.setdefault(spec.architecture.name, name)
        if other != name:
            raise ConfigError(
                f"The setting architectures has '{other}' and '{name}', which are the same. Remove one of them."
            )


def _pictures(spec: ParameterSpec) -> tuple[object, ...]:
    """Return what decides how a network's pictures are prepared."""
    one = spec.architecture
    return one.input_shape, one.mean, one.std, one.crop_pct, None if one.trunk is None else one.trunk.name


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
            f"The zoo '{zoo.place}' has the class '{foreign[0]}', but the data set '{config.dataset}' does not. "
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
            f"validation_classes names '{strange[0]}', which is no class of the zoo '{zoo.place}'. Correct the name."
        )
    leaked = [name for name in config.held_out_classes if name in zoo.class_names]
    if leaked:
        raise LeakageError(
            f"held_out_classes names '{leaked[0]}', but the networks of the zoo '{zoo.place}' were trained on this class. "
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
