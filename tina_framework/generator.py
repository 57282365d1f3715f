"""`Generator`: class names in, classifiers out.

Shapes: B batch, K classes, E condition width, N parameters.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.classifier import GeneratedClassifier
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.discovery import registries
from tina_framework.errors import ConfigError, PromptWarning
from tina_framework.generation.config import GeneratorConfig
from tina_framework.generation.folder import (
    GeneratorParts,
    bundled_names,
    find_folder,
    make_spec,
    make_tokenizer,
    read_folder,
    write_folder,
)
from tina_framework.generation.hub import upload
from tina_framework.generation.parameters import OnProgress, ParameterSampler, resolve_device
from tina_framework.generation.sampling import make_scheduler
from tina_framework.interfaces.encoder import Encoder
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.normalizer import Normalizer
from tina_framework.prompts.condition import ConditionSpace
from tina_framework.prompts.doubts import doubts
from tina_framework.prompts.memory import Memory
from tina_framework.prompts.resolve import Condition, resolve_tasks
from tina_framework.prompts.sentence import classes_of

__all__ = ["Generator", "GeneratorConfig", "bundled_names", "resolve_device"]


class Generator:
    """A trained text-to-model generator.

    Args:
        config: sizes and registry names.
        denoiser: on any device; `to` moves it.
        normalizer: standardised differences <-> parameters.
        condition_space: raw encoder vectors -> conditions.
        generic: the generic network over `config.class_names`, if it is to travel along for evaluation.

    Attributes:
        name: what the provenance of generated classifiers says made them.
        spec: the target architecture's parameters.
        tokenizer: lays them out as tokens.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        denoiser: Denoiser,
        normalizer: Normalizer,
        condition_space: ConditionSpace,
        generic: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.config = config
        self.denoiser = denoiser
        self.normalizer = normalizer
        self.condition_space = condition_space
        self.generic = None if generic is None else dict(generic)
        self.name = "unsaved"
        self.spec = make_spec(config)
        self.tokenizer = make_tokenizer(config)
        self._layouts: dict[int, TokenLayout] = {}
        self._encoder: Encoder | None = None
        self._memories: dict[tuple[int, int], Memory] = {}

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        revision: str | None = None,
        local_files_only: bool = False,
        device: str | torch.device = "auto",
        encoder: str | Encoder | None = None,
    ) -> Generator:
        """Loads a generator.

        Args:
            name: an existing folder, a bundled name (``cifar100-cnn``) or a Hub id ``owner/name``.
            revision: of the Hub repository.
            local_files_only: never ask the Hub, use what was downloaded before.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
            encoder: instead of the default one; of the same space.

        Raises:
            UnknownNameError, DownloadError: nothing is found under that name.
            CheckpointError: what is found is no generator of ours, incomplete or altered.
        """
        parts = read_folder(find_folder(str(name), revision, local_files_only))
        generator = cls(parts.config, parts.denoiser, parts.normalizer, parts.condition_space, parts.generic)
        generator.name = str(name) if not Path(name).is_dir() else Path(name).resolve().name
        if encoder is not None:
            generator._encoder = generator._make_encoder(encoder)
        return generator.to(device)

    def save_pretrained(self, folder: str | Path, card: str | None = None) -> None:
        """Writes config, weights and model card, whole or not at all; an existing generator folder is replaced.

        Args:
            card: the model card (Markdown); None: one made from the configuration.
        """
        write_folder(Path(folder), self._parts(), card)

    def push_to_hub(
        self, repo_id: str, *, private: bool = False, token: str | None = None, card: str | None = None
    ) -> str:
        """Uploads the folder that `save_pretrained` writes; returns the commit's address.

        Raises:
            DownloadError: the Hub cannot be reached or refuses.
        """
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "generator"
            self.save_pretrained(folder, card)
            return upload(folder, repo_id, private=private, token=token)

    def to(self, device: str | torch.device) -> Generator:
        """Moves the denoiser; returns itself."""
        self.denoiser.to(resolve_device(device))
        return self

    @property
    def device(self) -> torch.device:
        return next(self.denoiser.parameters()).device

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder in use: the one given, else the configuration's, made when first needed."""
        return self._encoder if self._encoder is not None else self._make_encoder(self.config.default_encoder)

    def memory(self, encoder: Encoder | None = None, template: int = 0) -> Memory:
        """The classes it was trained on as an encoder sees them."""
        reader = self.encoder if encoder is None else encoder
        key = (id(reader), template)
        if key not in self._memories:
            reading = self.config.familiarity.get(reader.name)
            self._memories[key] = Memory(self.config.class_names, reader, template, self.condition_space, reading)
        return self._memories[key]

    def layout(self, num_classes: int) -> TokenLayout:
        """The token layout at that class count (without padding)."""
        if num_classes not in self._layouts:
            largest = self.config.denoiser.max_classes
            self._layouts[num_classes] = self.tokenizer.layout(self.spec, num_classes, largest)
        return self._layouts[num_classes]

    def __call__(
        self,
        prompts: Sequence[Any] | str | Condition | Sequence[Condition],
        *,
        num_inference_steps: int | None = None,
        seed: int = 0,
        num_samples: int = 1,
        scheduler: str | NoiseScheduler | None = None,
        encoder: str | Encoder | None = None,
        template: int = 0,
        batch_size: int = 64,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """Generates one classifier a task.

        The same seed gives the same model for the same classes (up to float rounding), alone or in a batch, in
        whatever order the classes come; sample i is the same however many samples are drawn.

        Args:
            prompts: the classes of one task, or a list of tasks. A class is a name, a picture (PIL), or a prompt of
                `tina_framework.prompt`. Or one task as a sentence: "tell apples from bears and buses". See docs/prompts.md.
            num_inference_steps: None: the generator's default.
            seed: any integer.
            num_samples: how many models a task; above 1, each task gives a list of them.
            scheduler: another sampler for the same noise process: a registry name or a (diffusers) object.
            encoder: another encoder of the same space: a spec or an object.
            template: which of the encoder's prompt templates.
            batch_size: models generated at once.
            on_progress: called after every batch.

        Returns:
            A `GeneratedClassifier` on the generator's device for one task, a list for a list of tasks.

        Raises:
            PromptError: a task has too few or too many classes, an empty name, or two that mean the same; a sentence that is none,
                or that can be read in more than one way.
            ConfigError: encoder, scheduler or settings do not fit.

        Warns:
            PromptWarning: the encoder is unsure what a name means.
        """
        reader = self.encoder if encoder is None else self._make_encoder(encoder)
        single, conditions = _conditions(
            prompts, reader, template, self.memory(reader, template), self.config.class_names
        )
        if not _are_encoded(prompts):  # whoever encodes for himself sees the confidence himself
            for sentence in doubts(conditions, reader):
                warnings.warn(sentence, PromptWarning, stacklevel=2)
        steps = self.config.num_inference_steps if num_inference_steps is None else num_inference_steps
        flats = self.generate_parameters(
            conditions,
            num_inference_steps=steps,
            seed=seed,
            num_samples=num_samples,
            scheduler=scheduler,
            batch_size=batch_size,
            on_progress=on_progress,
        )
        provenance = {
            "generator": self.name,
            "seed": seed,
            "num_inference_steps": steps,
            "scheduler": _scheduler_name(scheduler, self.config),
            "encoder": reader.name,
            "space": reader.space,
        }
        models = [
            self._classifier(
                conditions[i // num_samples],
                flat,
                {**provenance, **_said(conditions[i // num_samples]), "sample": i % num_samples},
            )
            for i, flat in enumerate(flats)
        ]
        grouped: list[Any] = models
        if num_samples > 1:
            grouped = [models[i : i + num_samples] for i in range(0, len(models), num_samples)]
        return grouped[0] if single else grouped

    def generate_parameters(
        self,
        conditions: Sequence[Condition],
        *,
        num_inference_steps: int | None = None,
        seed: int = 0,
        num_samples: int = 1,
        scheduler: str | NoiseScheduler | None = None,
        batch_size: int = 64,
        on_progress: OnProgress | None = None,
    ) -> list[Tensor]:
        """The flat parameters (N_K,) of each task's `num_samples` networks, task by task, on the denoiser's device.

        Raises:
            PromptError, ConfigError: as calling the generator.
        """
        return ParameterSampler(self.config, self.denoiser, self.normalizer, self.condition_space, self.layout).run(
            conditions,
            steps=self.config.num_inference_steps if num_inference_steps is None else num_inference_steps,
            seed=seed,
            num_samples=num_samples,
            scheduler=make_scheduler(self.config, scheduler),
            batch_size=batch_size,
            on_progress=on_progress,
        )

    def _make_encoder(self, encoder: str | Encoder) -> Encoder:
        made: Encoder = registries().encoders.create(encoder) if isinstance(encoder, str) else encoder
        if made.space != self.condition_space.space or made.dim != self.condition_space.dim:
            raise ConfigError(
                f"Encoder '{made.name}' speaks '{made.space}' ({made.dim} wide), but this generator reads "
                f"'{self.condition_space.space}' ({self.condition_space.dim} wide); use an encoder of that space."
            )
        return made

    def _classifier(self, condition: Condition, flat: Tensor, provenance: dict[str, Any]) -> GeneratedClassifier:
        state = self.spec.unflatten(flat, len(condition))
        abstention = None if self.config.abstention is None else self.config.abstention.rule(len(condition))
        names = condition.class_names
        return GeneratedClassifier.from_state(self.spec.architecture, names, state, provenance, abstention)

    def _parts(self) -> GeneratorParts:
        return GeneratorParts(self.config, self.denoiser, self.normalizer, self.condition_space, self.generic)


def _conditions(
    prompts: Any, encoder: Encoder, template: int, memory: Memory | None, known: Sequence[str]
) -> tuple[bool, list[Condition]]:
    """(whether it is one task, the tasks)."""
    if isinstance(prompts, Condition):
        return True, [prompts]
    if isinstance(prompts, str):
        prompts = classes_of(prompts, known)
    prompts = list(prompts)
    if prompts and all(isinstance(prompt, Condition) for prompt in prompts):
        return False, prompts
    single = not prompts or any(not isinstance(prompt, list | tuple) for prompt in prompts)
    return single, resolve_tasks([prompts] if single else prompts, encoder, template, memory, known)


def _said(condition: Condition) -> dict[str, Any]:
    """What the classifier remembers of prompts that are more than known names."""
    said: dict[str, Any] = {"prompts": [prompt.to_json() for prompt in condition.prompts]} if condition.prompts else {}
    if condition.familiarity is not None and float(condition.familiarity.min()) < 1.0:
        said["familiarity"] = [round(float(value), 4) for value in condition.familiarity]
        said["nearest"] = list(condition.nearest)
    if condition.read_as:
        said["read_as"] = dict(condition.read_as)
    return said


def _are_encoded(prompts: Any) -> bool:
    return isinstance(prompts, Condition) or any(isinstance(prompt, Condition) for prompt in prompts)


def _scheduler_name(scheduler: str | NoiseScheduler | None, config: GeneratorConfig) -> str:
    if scheduler is None:
        return str(config.scheduler["name"])
    return scheduler if isinstance(scheduler, str) else type(scheduler).__name__
