"""Build the components of a training run from its settings: data, zoo, denoiser, objectives."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.denoiser.whitening import Whitening
from tina_framework.errors import ConfigError, DataError, LeakageError
from tina_framework.generator.generator import Generator
from tina_framework.generator.scheduler import noise_process_named, trained_process
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.noise_process import NOISE_PROCESSES, process_sampled_by
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import ParameterTokenizer, TokenLayout
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.targets.functional import TargetRunner, resolve_precision
from tina_framework.targets.image_shifts import check_shift
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.training.initialization import build_denoiser
from tina_framework.training.kronecker import fit_whitening
from tina_framework.training.objective_context import ObjectiveContext
from tina_framework.training.objectives import DenoiseObjective, Objective, TaskObjective
from tina_framework.training.p_models import TrainingModels
from tina_framework.training.randomness import generator_at
from tina_framework.zoo.small_data import FEW_CLASSES, default_class_counts, default_max_steps
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.teacher import Teacher

__all__ = ["TrainingComponents", "build_components", "load_images", "whitening_factors"]


@dataclass
class TrainingComponents:
    """The components of a training run.

    Attributes:
        config: the training settings. Defaults that follow the number of classes are filled in.
        dataset: the data set with the images.
        zoo: the zoo with the generic model and the p-Models.
        spec: the parameters of the target architecture.
        tokenizer: cuts these parameters into tokens.
        context: what all objectives share.
        denoiser: the denoiser with its initial weights.
        objectives: the objectives whose weight is above 0.
        runner: computes losses of generated networks.
        seen_classes: the classes that training may use, in the order of the data set.
        seen_superclasses: the superclass of each, or None if the data set has none.
        generic: parameters of the generic model, reduced to `seen_classes`.
        fingerprints: hashes of the data, the zoo, the text vectors and the teacher; a resumed run must have the same.
        origin: the training record of the generator of `init_from`, or None.
        start: the generator of `init_from`, or None.
        taught_by: what the teacher is, or None without a teacher.
    """

    config: TrainingConfig
    dataset: Dataset
    zoo: Zoo
    spec: ParameterSpec
    tokenizer: ParameterTokenizer
    context: ObjectiveContext
    denoiser: Denoiser
    objectives: list[Objective]
    runner: TargetRunner
    seen_classes: tuple[str, ...]
    seen_superclasses: tuple[int, ...] | None
    generic: dict[str, Tensor]
    fingerprints: dict[str, str]
    origin: dict[str, Any] | None = None
    start: Generator | None = None
    taught_by: str | None = None

    @property
    def open_vocabulary(self) -> bool:
        """Whether the generator will read the vectors of any words as they are."""
        return self.config.open_vocabulary if self.start is None else self.start.config.open_vocabulary

    @property
    def known_classes(self) -> tuple[str, ...]:
        """The class names that the generator will record. With an open vocabulary these are the classes of its landmarks."""
        if self.start is not None and self.start.config.open_vocabulary:
            return self.start.config.class_names
        return self.seen_classes

    def sampler(self, partition: str, schemes: Mapping[str, float], counts: Mapping[int, float]) -> TaskSampler:
        """Return a sampler of tasks of the seen classes.

        Args:
            partition: ``train``, ``validation`` or ``test``.
            schemes: ways to draw the classes of a task, with weights.
            counts: class counts, with weights.
        """
        return TaskSampler(
            self.seen_classes,
            self.seen_superclasses,
            partition=partition,
            schemes=schemes,
            class_counts=counts,
            seed=self.config.seed,
        )


def load_images(
    config: TrainingConfig, device: torch.device, dataset: Dataset | None = None, spec: ParameterSpec | None = None
) -> TrainingImages:
    """Load the images that training draws from, in the type that the target networks compute with.

    Args:
        config: the training settings.
        device: where to keep them.
        dataset: the data set of the settings, if it was made already.
        spec: the parameters of the target architecture, if they are known already.

    Raises:
        ConfigError, DataError, CheckpointError, PluginError: something is missing or does not fit together.
        LeakageError: the teacher was trained on a class that training must not see.
    """
    if dataset is None:
        dataset = registries().datasets.create(config.dataset)
    if spec is None:
        spec = ParameterSpec(
            registries().architectures.create(config.architecture or Zoo.open(config.zoo).architecture)
        )
    dtype = torch.bfloat16 if resolve_precision(device, config.target_precision) == "bf16" else torch.float32
    teacher = None if config.teacher is None else Teacher.load(config.teacher)
    unseen = [*config.held_out_classes, *config.validation_classes]
    if teacher is not None:
        teacher.check_unseen(unseen)
    return TrainingImages(dataset, config.train_split, spec, device, dtype, teacher, unseen)


@dataclass(frozen=True)
class _Basis:
    """What the settings name, opened and compared, and the settings with their open defaults filled in."""

    config: TrainingConfig
    dataset: Dataset
    zoo: Zoo
    spec: ParameterSpec
    seen: tuple[str, ...]
    start: Generator | None

    @property
    def generic(self) -> dict[str, Tensor]:
        """The parameters of the generic model, reduced to `seen`."""
        rows = torch.tensor([self.zoo.class_names.index(name) for name in self.seen])
        return self.spec.select_classes(self.zoo.generic, rows)


def _open(config: TrainingConfig) -> _Basis:
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
    return _Basis(config, dataset, zoo, spec, seen, start)


def whitening_factors(
    config: TrainingConfig, device: torch.device, images: TrainingImages | None = None
) -> dict[str, Tensor]:
    """Return the factors of the setting `whitening`, for `build_components`. Empty if the run needs none.

    The arguments and errors are those of `build_components`. Floating-point numbers differ between devices, so one process
    should compute the factors for all.
    """
    if config.whitening is None or config.init_from is not None:
        return {}
    basis = _open(config)
    return _whitening(basis, load_images(basis.config, device, basis.dataset, basis.spec) if images is None else images)


def build_components(
    config: TrainingConfig,
    device: torch.device,
    images: TrainingImages | None = None,
    factors: Mapping[str, Tensor] | None = None,
) -> TrainingComponents:
    """Load the data and build all components. The denoiser's initial weights follow from the seed.

    Args:
        config: the training settings.
        device: where the images and the batches are placed.
        images: what `load_images` returned, if they are loaded already.
        factors: what `whitening_factors` returned, here or in the process that sent it; None: they are computed now.

    Raises:
        ConfigError, DataError, CheckpointError, PluginError: something is missing or does not fit together.
        LeakageError: the zoo was built with classes or class sets that are reserved for validation or tests.
    """
    basis = _open(config)
    config, dataset, zoo, spec = basis.config, basis.dataset, basis.zoo, basis.spec
    seen, start, generic = basis.seen, basis.start, basis.generic
    superclasses = dataset.superclasses
    if superclasses is not None:
        superclasses = tuple(superclasses[dataset.class_names.index(name)] for name in seen)
    models = TrainingModels(config, zoo, seen)

    tokenizer: ParameterTokenizer = registries().tokenizers.create(config.tokenizer)
    layout = tokenizer.layout(spec, config.max_classes, config.max_classes)
    conditions = ConditionBank(dataset.class_names, config.encoders, seen)
    if start is None:
        whitening = None
        if config.whitening is not None:
            if factors is None:
                images = load_images(config, device, dataset, spec) if images is None else images
                factors = _whitening(basis, images)
            whitening = Whitening.from_tensors(spec, factors, f"The whitening with damping {config.whitening:g}")
        per_tensor = config.scale == "tensor"
        normalizer = Normalizer.fit(spec, generic, models.readers(), per_tensor=per_tensor, whitening=whitening)
    else:
        _check_coordinates(config, start)
        # The weights of a generator only make sense with its own normalizer and its own condition space.
        normalizer, conditions.space = start.normalizer, _same_space(start, conditions)
    process = process_sampled_by(make_sampler(config))
    context = ObjectiveContext(config, spec, layout, normalizer, process, conditions, device)
    if start is not None and start.denoiser.config.num_landmarks:
        # Landmarks are classes of the start, so its denoiser is taken as it is.
        denoiser = copy.deepcopy(start.denoiser)
        _check_start(denoiser, layout, start, config)
    else:
        denoiser = build_denoiser(context, tokenizer, generic, seen)
        if start is not None:
            _take_weights(denoiser, start, config)

    workers = (config.target_workers or torch.get_num_threads()) if device.type == "cpu" else 1
    # A thread runs all draws of a task, so a thread for each task is enough.
    workers = min(workers, config.task_batch_size // config.draws_per_task)
    runner = TargetRunner(spec, config.target_precision, workers, config.target_convolution)
    components = TrainingComponents(
        config, dataset, zoo, spec, tokenizer, context, denoiser, [], runner, seen, superclasses, generic, {}
    )
    components.fingerprints = {"zoo": models.fingerprint(), "vectors": conditions.fingerprint}
    if start is not None:
        components.start = start
        components.fingerprints["start"] = _fingerprint(start.denoiser.state_dict())
        components.origin = {key: value for key, value in start.config.training.items() if key != "seen_classes"}
    if config.task_weight > 0:
        if images is None:
            images = load_images(config, device, dataset, spec)
        components.fingerprints["images"] = images.fingerprint
        if images.taught_by is not None:
            components.taught_by = images.taught_by
            components.fingerprints["teacher"] = images.teacher_sha256
        sampler = components.sampler("train", dict[str, float](config.schemes.items()), config.class_counts)
        components.objectives.append(TaskObjective(context, images, sampler, runner))
    if config.denoise_weight > 0:
        if not models:
            raise ConfigError(
                f"denoise_weight is {config.denoise_weight}, but the zoo '{config.zoo}' holds no p-Model. "
                "Build some, or set denoise_weight to 0."
            )
        components.objectives.append(DenoiseObjective(context, models))
    return components


_WHITENING_TASKS = 40
"""Enough: the factors average over all pixels of all images of these tasks."""


def _whitening(basis: _Basis, images: TrainingImages) -> dict[str, Tensor]:
    """Return the factors of the whitening on random training tasks.

    Raises:
        ConfigError: no layer can be whitened.
    """
    config, seen = basis.config, basis.seen
    sampler = TaskSampler(seen, None, partition="train", class_counts=config.class_counts, seed=config.seed)

    def draw(number: int) -> tuple[Tensor, Tensor, Tensor]:
        classes = sampler.task(number).classes
        rows, flips, slots = images.draw(
            classes, config.images_per_task, generator_at(config.seed, "whitening", number)
        )
        own = torch.tensor([seen.index(name) for name in classes])
        return own, images.take(rows, flips), slots.to(images.labels.device)

    assert config.whitening is not None
    found = fit_whitening(basis.spec, basis.generic, draw, _WHITENING_TASKS, config.whitening)
    if found is None:
        raise ConfigError(f"No layer of '{basis.spec.architecture.name}' can be whitened. Set whitening to none.")
    return {name: factor.cpu() for name, factor in found.factors.items()}


def _check_coordinates(config: TrainingConfig, start: Generator) -> None:
    """Refuse a setting `whitening` that says otherwise than the generator of `init_from`, whose coordinates are kept."""
    whitened = start.normalizer.whitening is not None
    if "whitening" in config.model_fields_set and (config.whitening is not None) != whitened:
        theirs = "whitened" if whitened else "plain"
        raise ConfigError(
            f"whitening is {config.whitening or 'none'}, but the generator '{config.init_from}' has {theirs} coordinates, "
            "and a run that starts from it keeps them. Remove the setting, or remove init_from."
        )


def _same_space(start: Generator, conditions: ConditionBank) -> ConditionSpace:
    """Return the condition space of a generator, after checking that the encoders have the same embedding space."""
    if (start.condition_space.space, start.condition_space.dim) != (conditions.space.space, conditions.space.dim):
        raise ConfigError(
            f"The generator of init_from has the embedding space '{start.condition_space.space}' ({start.condition_space.dim} "
            f"wide), but the encoders have '{conditions.space.space}' ({conditions.space.dim} wide). Use encoders of its space."
        )
    return start.condition_space


def _take_weights(denoiser: Denoiser, start: Generator, config: TrainingConfig) -> None:
    """Copy the weights of a generator into the denoiser, after checking that their settings agree."""
    ours, theirs = denoiser.config.to_dict(), start.denoiser.config.to_dict()
    # Dropout has no weights, so it may differ.
    odd = [name for name in ours if ours[name] != theirs[name] and name != "dropout"]
    trained, process = start.config.scheduler["config"], noise_settings(config)
    odd += [name for name, value in process.items() if trained.get(name, value) != value]
    if trained_process(start.config).noise_process != noise_process_named(config.scheduler):
        odd.append("scheduler")
    if odd:
        raise ConfigError(
            f"The generator '{config.init_from}' differs from the settings in {', '.join(odd)}. "
            "Use its settings, or remove init_from."
        )
    denoiser.load_state_dict(start.denoiser.state_dict())


def _check_start(denoiser: Denoiser, layout: TokenLayout, start: Generator, config: TrainingConfig) -> None:
    """Check that a denoiser that is taken as it is fits the network, the tokenizer and the noise process of the run."""
    sizes = denoiser.config
    trained = start.config.scheduler["config"]
    odd = [name for name, value in noise_settings(config).items() if trained.get(name, value) != value]
    if trained_process(start.config).noise_process != noise_process_named(config.scheduler):
        odd.append("scheduler")
    if (sizes.group_widths, sizes.equivariant) != (layout.group_widths, layout.equivariant):
        odd.append("tokenizer or architecture")
    if sizes.max_classes != config.max_classes:
        odd.append("max_classes")
    if sizes.input_floor != config.input_floor:
        odd.append("input_floor")
    if odd:
        raise ConfigError(
            f"The generator '{config.init_from}' differs from the settings in {', '.join(odd)}. "
            "Use its settings, or remove init_from."
        )


def noise_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings of the noise process that the run's scheduler samples."""
    process = NOISE_PROCESSES[noise_process_named(config.scheduler)]
    return {name: getattr(config, name) for name in process.settings}


def make_sampler(config: TrainingConfig) -> NoiseScheduler:
    """Make the scheduler of the run, with its noise process."""
    sampler: NoiseScheduler = registries().schedulers.create(config.scheduler, **noise_settings(config))
    return sampler


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


def _fingerprint(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in state.values():
        digest.update(tensor.float().contiguous().numpy().tobytes())
    return digest.hexdigest()
