"""Build the components of a training run from its settings: data, zoo, denoiser, objectives."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tina_framework.config.checks import needs_learnt_rows
from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.denoiser.whitening import Whitening
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.generator.target import whitened_weights
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.noise_process import process_sampled_by
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import ParameterTokenizer, TokenLayout
from tina_framework.plugin.discovery import registries
from tina_framework.targets.functional import TargetRunner
from tina_framework.training.coordinates import damping_of, whitening_factors
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.training.initialization import build_denoiser, fit_row_forecast
from tina_framework.training.objective_context import ObjectiveContext
from tina_framework.training.objectives import DenoiseObjective, Objective, TaskObjective
from tina_framework.training.p_models import TrainingModels
from tina_framework.training.run_inputs import RunInputs, load_images, open_inputs
from tina_framework.training.run_scheduler import make_sampler
from tina_framework.training.start import check_coordinates, check_denoiser, same_space, take_weights
from tina_framework.training.track import Track
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler

__all__ = ["TrainingComponents", "build_components"]


@dataclass
class TrainingComponents:
    """The components of a training run for one architecture.

    A run of several architectures has these for each. They share the denoiser, the data set and the conditioning vectors.

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
        weight: how often the architecture is trained, in proportion to the weights of the others; 0: never.
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
    weight: float = 1.0

    @property
    def track(self) -> Track:
        """What the training steps of this architecture compute."""
        return Track(self.weight, self.context, self.objectives)

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


def build_components(
    source: TrainingConfig | RunInputs,
    device: torch.device,
    images: TrainingImages | None = None,
    factors: Mapping[str, Tensor] | None = None,
    first: TrainingComponents | None = None,
) -> TrainingComponents:
    """Load the data and build the components for one architecture. The denoiser's initial weights follow from the seed.

    Args:
        source: the training settings, or what `open_inputs` returned for them.
        device: where the images and the batches are placed.
        images: what `load_images` returned, if they are loaded already.
        factors: what `whitening_factors` returned, here or in the process that sent it; None: they are computed now.
        first: the components for another architecture of the same run, whose denoiser and conditioning vectors are used.

    Raises:
        ConfigError, DataError, CheckpointError, PluginError: something is missing or does not fit together.
        LeakageError: the zoo was built with classes or class sets that are reserved for validation or tests.
    """
    inputs = source if isinstance(source, RunInputs) else open_inputs(source)
    config, dataset, zoo, spec = inputs.config, inputs.dataset, inputs.zoo, inputs.spec
    seen, start, generic = inputs.seen_classes, inputs.start, inputs.generic
    superclasses = dataset.superclasses
    if superclasses is not None:
        superclasses = tuple(superclasses[dataset.class_names.index(name)] for name in seen)
    models = TrainingModels(config, zoo, seen)

    tokenizer: ParameterTokenizer = registries().tokenizers.create(config.tokenizer)
    layout = tokenizer.layout(spec, config.max_classes, config.max_classes)
    _check_descriptors(config, layout)
    conditions = (
        ConditionBank(dataset.class_names, config.encoders, seen) if first is None else first.context.conditions
    )
    if start is not None:
        check_coordinates(config, start)
        # The weights of a generator only make sense with its own condition space.
        conditions.space = same_space(start, conditions)
    known = None if start is None else start.known_target(spec.architecture.name)
    if known is None:
        damping, whitening = damping_of(inputs), None
        if damping is not None:
            if factors is None:
                images = load_images(inputs, device) if images is None else images
                factors = whitening_factors(inputs, device, images)
            whitening = Whitening.from_tensors(spec, factors, f"The whitening with damping {damping:g}")
        normalizer = Normalizer.fit(
            spec,
            generic,
            models.readers(),
            default_scale=_SHARED_SCALE if layout.descriptors is not None else _PLAIN_SCALE,
            per_tensor=config.scale == "tensor",
            whitening=whitening,
        )
    else:
        normalizer = _as_now(known.normalizer, spec)  # nor with another normalizer
    process = process_sampled_by(make_sampler(config))
    context = ObjectiveContext(config, spec, layout, normalizer, process, conditions, device)
    if known is None:
        context.rows = fit_row_forecast(context, tokenizer, generic, seen)
    elif known.rows is not None:
        context.rows = known.rows.with_shares(1.0, 1.0)  # those of a relative are chosen anew
    if first is not None:
        denoiser = first.denoiser
    elif start is not None and start.denoiser.config.num_landmarks:
        # Landmarks are classes of the start, so its denoiser is taken as it is.
        denoiser = copy.deepcopy(start.denoiser)
        check_denoiser(denoiser, layout, start, config)
    else:
        denoiser = build_denoiser(context, tokenizer, generic, seen)
        if start is not None:
            take_weights(denoiser, start, config)

    workers = (config.target_workers or torch.get_num_threads()) if device.type == "cpu" else 1
    # A thread runs all draws of a task, so a thread for each task is enough.
    workers = min(workers, config.task_batch_size // config.draws_per_task)
    runner = TargetRunner(spec, config.target_precision, workers, config.target_convolution)
    components = TrainingComponents(
        config, dataset, zoo, spec, tokenizer, context, denoiser, [], runner, seen, superclasses, generic, {}
    )
    components.weight = inputs.weight
    components.fingerprints = {"zoo": models.fingerprint(), "vectors": conditions.fingerprint}
    if start is not None:
        components.start = start
        components.fingerprints["start"] = _fingerprint(start.denoiser.state_dict())
        components.origin = {key: value for key, value in start.config.training.items() if key != "seen_classes"}
    if config.task_weight > 0:
        if images is None:
            images = load_images(inputs, device)
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


def _as_now(normalizer: Normalizer, spec: ParameterSpec) -> Normalizer:
    """Return a normalizer for the spec of this run, which may be a relative where that of the start was none, or the reverse."""
    if normalizer.spec.relative is None and spec.relative is None:
        return normalizer
    return Normalizer.from_tensors(spec, normalizer.state_dict(), whitened_weights(normalizer))


_PLAIN_SCALE = 0.1
_SHARED_SCALE = 0.75
"""Without p-Models: scale of a shared tensor, as a share of its standard deviation in the generic model.

The larger one is about what the p-Models of `cnn-2layer` give in whitened coordinates (0.4 and 0.9 for its convolutions)."""


def _check_descriptors(config: TrainingConfig, layout: TokenLayout) -> None:
    """Refuse settings that do not go with the tokenizer, which describes its tokens or does not.

    Raises:
        ConfigError: a setting needs the other kind of tokenizer.
    """
    if layout.descriptors is None:
        if config.architectures:
            raise ConfigError(
                f"architectures is set, but the tokenizer '{config.tokenizer}' gives tokens no descriptors. Choose a "
                "tokenizer that does; docs/how-to/training.md has a recipe."
            )
        return
    odd = [f"{name} must be {words}" for name, words in needs_learnt_rows(config)]
    if odd:
        raise ConfigError(f"The tokenizer '{config.tokenizer}' describes its tokens, so {'; '.join(odd)}.")


def _fingerprint(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in state.values():
        digest.update(tensor.float().contiguous().numpy().tobytes())
    return digest.hexdigest()
