"""From a configuration to everything a run consists of: data, zoo, network, objectives."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError, DataError, LeakageError
from tina_framework.generator.generator import Generator
from tina_framework.generator.scheduler import noise_process_named, trained_process
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.noise_process import NOISE_PROCESSES, process_sampled_by
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import ParameterTokenizer
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.targets.functional import TargetRunner, resolve_precision
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.training.initialization import build_denoiser
from tina_framework.training.objective_context import ObjectiveContext
from tina_framework.training.objectives import DenoiseObjective, Objective, TaskObjective
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler

__all__ = ["TrainingComponents", "build_components"]


@dataclass
class TrainingComponents:
    """The parts of a run.

    Attributes:
        seen_classes: the classes that training may use, in the data set's order.
        seen_superclasses: of these, or None.
        generic: the generic model over `seen_classes`.
        fingerprints: hashes of the data, the zoo and the vectors; a resumed run must find the same.
        origin: the training record of the generator that the run started from; None: it started anew.
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

    def sampler(self, partition: str, schemes: Mapping[str, float], counts: Mapping[int, float]) -> TaskSampler:
        """Tasks of the seen classes."""
        return TaskSampler(
            self.seen_classes,
            self.seen_superclasses,
            partition=partition,
            schemes=schemes,
            class_counts=counts,
            seed=self.config.seed,
        )


def build_components(config: TrainingConfig, device: torch.device) -> TrainingComponents:
    """Loads and builds everything; the denoiser's initial weights follow from the seed.

    Raises:
        ConfigError, DataError, CheckpointError, PluginError: something is missing or does not fit.
        LeakageError: the zoo holds a model of a reserved class set.
    """
    dataset: Dataset = registries().datasets.create(config.dataset)
    zoo = Zoo.open(config.zoo)
    spec = ParameterSpec(registries().architectures.create(config.architecture or zoo.architecture))
    if spec.architecture.name != zoo.architecture:
        raise ConfigError(
            f"The zoo '{config.zoo}' holds networks of '{zoo.architecture}', but architecture is "
            f"'{spec.architecture.name}'; leave the setting out, or build a zoo of that architecture."
        )
    zoo.check(spec)
    seen = _seen_classes(config, dataset, zoo)
    superclasses = dataset.superclasses
    if superclasses is not None:
        superclasses = tuple(superclasses[dataset.class_names.index(name)] for name in seen)
    generic = spec.select_classes(zoo.generic, torch.tensor([zoo.class_names.index(name) for name in seen]))
    classes, flats = _zoo_models(config, zoo, seen)

    tokenizer: ParameterTokenizer = registries().tokenizers.create(config.tokenizer)
    layout = tokenizer.layout(spec, config.max_classes, config.max_classes)
    states = (spec.unflatten(flat, len(names)) for names, flat in zip(classes, flats, strict=True))
    normalizer = Normalizer.fit(spec, generic, states, per_tensor=config.scale == "tensor")
    conditions = ConditionBank(dataset.class_names, config.encoders, seen)
    start = None if config.init_from is None else Generator.from_pretrained(config.init_from, device="cpu")
    if start is not None:
        # What its weights mean depends on both.
        normalizer, conditions.space = start.normalizer, _same_space(start, conditions)
    process = process_sampled_by(make_sampler(config))
    context = ObjectiveContext(config, spec, layout, normalizer, process, conditions, device)
    denoiser = build_denoiser(config, layout, tokenizer, context, generic, seen)
    if start is not None:
        _take_weights(denoiser, start, config)

    workers = (config.target_workers or torch.get_num_threads()) if device.type == "cpu" else 1
    runner = TargetRunner(spec, config.target_precision, workers)
    components = TrainingComponents(
        config, dataset, zoo, spec, tokenizer, context, denoiser, [], runner, seen, superclasses, generic, {}
    )
    components.fingerprints = {"zoo": _fingerprint(generic, classes, flats), "vectors": conditions.fingerprint}
    if start is not None:
        components.fingerprints["start"] = _fingerprint(start.denoiser.state_dict(), (), ())
        components.origin = {key: value for key, value in start.config.training.items() if key != "seen_classes"}
    if config.task_weight > 0:
        dtype = torch.bfloat16 if resolve_precision(device, config.target_precision) == "bf16" else torch.float32
        images = TrainingImages(dataset, config.train_split, spec, device, dtype)
        components.fingerprints["images"] = images.fingerprint
        sampler = components.sampler("train", dict[str, float](config.schemes.items()), config.class_counts)
        components.objectives.append(TaskObjective(context, images, sampler, runner))
    if config.denoise_weight > 0:
        if not flats:
            raise ConfigError(
                f"denoise_weight is {config.denoise_weight}, but the zoo '{config.zoo}' holds no p-Model; "
                "build some, or set denoise_weight to 0."
            )
        components.objectives.append(DenoiseObjective(context, classes, flats))
    return components


def _same_space(start: Generator, conditions: ConditionBank) -> ConditionSpace:
    if (start.condition_space.space, start.condition_space.dim) != (conditions.space.space, conditions.space.dim):
        raise ConfigError(
            f"The generator to start from reads '{start.condition_space.space}' ({start.condition_space.dim} wide), but "
            f"encoders speak '{conditions.space.space}' ({conditions.space.dim} wide); use encoders of one space."
        )
    return start.condition_space


def _take_weights(denoiser: Denoiser, start: Generator, config: TrainingConfig) -> None:
    ours, theirs = denoiser.config.to_dict(), start.denoiser.config.to_dict()
    odd = [name for name in ours if ours[name] != theirs[name] and name != "dropout"]
    trained, process = start.config.scheduler["config"], noise_settings(config)
    odd += [name for name, value in process.items() if trained.get(name, value) != value]
    if trained_process(start.config).noise_process != noise_process_named(config.scheduler):
        odd.append("scheduler")
    if odd:
        raise ConfigError(
            f"The generator '{config.init_from}' differs from the settings in {', '.join(odd)}; "
            "use its settings, or leave out init_from."
        )
    denoiser.load_state_dict(start.denoiser.state_dict())


def noise_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings of the noise process that the run's scheduler samples."""
    process = NOISE_PROCESSES[noise_process_named(config.scheduler)]
    return {name: getattr(config, name) for name in process.settings}


def make_sampler(config: TrainingConfig) -> NoiseScheduler:
    """Make the scheduler of the run, with its noise process."""
    sampler: NoiseScheduler = registries().schedulers.create(config.scheduler, **noise_settings(config))
    return sampler


def _seen_classes(config: TrainingConfig, dataset: Dataset, zoo: Zoo) -> tuple[str, ...]:
    """What may be trained on: what the zoo knows, less what is held out."""
    foreign = [name for name in zoo.class_names if name not in dataset.class_names]
    if foreign:
        raise DataError(
            f"The zoo '{config.zoo}' knows the class '{foreign[0]}', which data set '{config.dataset}' lacks; "
            "train on the data set the zoo was built from."
        )
    unknown = [name for name in config.held_out_classes if name not in dataset.class_names]
    if unknown:
        raise ConfigError(
            f"held_out_classes names '{unknown[0]}', which data set '{config.dataset}' lacks; correct it."
        )
    strange = [name for name in config.validation_classes if name not in zoo.class_names]
    if strange:
        raise ConfigError(
            f"validation_classes names '{strange[0]}', which the zoo '{config.zoo}' does not know; correct it."
        )
    leaked = [name for name in config.held_out_classes if name in zoo.class_names]
    if leaked:
        raise LeakageError(
            f"held_out_classes names '{leaked[0]}', but the generic model and p-Models of the zoo '{config.zoo}' were trained "
            "on it; build a zoo with the same held_out_classes, or do not hold it out."
        )
    left = {*config.held_out_classes, *config.validation_classes}
    return tuple(name for name in dataset.class_names if name in zoo.class_names and name not in left)


def _zoo_models(config: TrainingConfig, zoo: Zoo, seen: Sequence[str]) -> tuple[list[tuple[str, ...]], list[Tensor]]:
    for entry in zoo.entries:
        if partition_of(entry.classes) != "train":
            raise LeakageError(
                f"Model {entry.id} of the zoo '{config.zoo}' was made for a class set that is reserved for "
                f"{partition_of(entry.classes)} ({', '.join(entry.classes[:3])}, ...); build the zoo with this program."
            )
    usable = [e for e in zoo.entries if len(e.classes) <= config.max_classes and set(e.classes) <= set(seen)]
    if config.zoo_models is not None and config.zoo_models > len(usable):
        raise ConfigError(
            f"zoo_models is {config.zoo_models}, but the zoo '{config.zoo}' holds {len(usable)} p-Models of classes that "
            "training may use; lower it, or leave it out."
        )
    usable = usable[: config.zoo_models]
    return [entry.classes for entry in usable], [zoo.flat(entry.id) for entry in usable]


def _fingerprint(generic: Mapping[str, Tensor], classes: Sequence[Sequence[str]], flats: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in [*generic.values(), *flats]:
        digest.update(tensor.float().contiguous().numpy().tobytes())
    digest.update(repr([tuple(names) for names in classes]).encode())
    return digest.hexdigest()
