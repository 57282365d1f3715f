"""`Generator`: class names in, classifiers out.

Shapes: K classes, N_K parameters at K classes.
"""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import torch
from torch import Tensor

from tina_framework.classifier.card import DATASETS, LICENSE
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError, PromptWarning, UnknownNameError, shorten
from tina_framework.generator.architecture_budget import architecture_within
from tina_framework.generator.architecture_summary import ArchitectureSummary, summarize_architectures
from tina_framework.generator.batching import ParameterSampler
from tina_framework.generator.calling import TENSOR_INPUTS, CallOptions, StepCallback, drawn_seed, step_end
from tina_framework.generator.card import datasets_of, license_of
from tina_framework.generator.classifiers import make_classifiers
from tina_framework.generator.components import make_encoder, make_recorded_encoder, make_spec, make_tokenizer
from tina_framework.generator.compose import GeneratedNetworks, generate_networks
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.folder import (
    MAX_SHARD_SIZE,
    GeneratorParts,
    find_folder,
    provider_of,
    read_dtype,
    read_folder,
    write_folder,
)
from tina_framework.generator.options import ComposeMethod, OnProgress, SamplingOptions
from tina_framework.generator.recorded_accuracy import recorded_accuracy
from tina_framework.generator.target import GeneratorTarget
from tina_framework.interfaces.encoder import Encoder
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.suggest import did_you_mean
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.known_classes import KnownClasses
from tina_framework.prompts.read import encode_prompts
from tina_framework.prompts.warnings import prompt_warnings
from tina_framework.storage.hub import HubAccess, check_repo_id, upload, with_revision
from tina_framework.storage.paths import user_path
from tina_framework.targets.device import resolve_device

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.generator.calling import ManyTasks, OneTask

__all__ = ["Generator", "GeneratorConfig"]


_MAX_KNOWN_CLASSES = 4
"""How many `KnownClasses` are kept. Each holds its encoder, and a call with an encoder's name creates a new encoder."""


class Generator:
    """A trained text-to-model generator.

    Args:
        config: the configuration.
        denoiser: the network, on any device; `to` moves it.
        normalizer: converts between parameters and the standardised differences that the denoiser predicts.
        condition_space: converts an encoder's vectors to the denoiser's conditioning vectors.
        generic: state dict of the generic network for `config.class_names`, if it is saved along for evaluation.
        targets: if the configuration has `architectures`: the parts of each. `normalizer` is then that of the default one.

    Raises:
        ConfigError: `targets` are not those of the configuration's architectures.

    Attributes:
        name: how generated classifiers refer to this generator in their provenance.
        spec: the target architecture's parameters.
        tokenizer: lays the parameters out as tokens.
        folder: where it was loaded from; None if it was made in memory.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        denoiser: Denoiser,
        normalizer: Normalizer,
        condition_space: ConditionSpace,
        generic: Mapping[str, Tensor] | None = None,
        targets: Mapping[str, GeneratorTarget] | None = None,
    ) -> None:
        self.config = config
        self.denoiser = denoiser
        self.normalizer = normalizer
        self.condition_space = condition_space
        self.generic = None if generic is None else dict(generic)
        self._targets = {} if targets is None else dict(targets)
        if self._targets.keys() != config.architectures.keys():
            raise ConfigError(
                f"The generator writes {', '.join(config.architectures) or config.architecture}, but has the parts of "
                f"{', '.join(self._targets) or 'none of several architectures'}; give `targets` for all of its architectures."
            )
        self._of_default = config.architecture, config.abstention, self.generic
        self.name = "unsaved"
        self.spec = make_spec(config)
        self.tokenizer = make_tokenizer(config)
        self._layouts: dict[tuple[str, int], TokenLayout] = {}  # shared by all views
        self._encoder: Encoder | None = None
        self._own_encoder: dict[str, Encoder] = {}
        self.folder: Path | None = None
        self._provider: str | None = None
        self._known_classes: dict[tuple[int, int], KnownClasses] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Copies get other encoders, and an entry is found by the id of its encoder.
        return {**self.__dict__, "_known_classes": {}}

    def __repr__(self) -> str:
        """Return what it writes, from what, and how large it is."""
        config, most = self.config, self.config.max_classes
        more = f" or {len(config.architectures) - 1} others" if len(config.architectures) > 1 else ""
        size = sum(parameter.numel() for parameter in self.denoiser.parameters())
        dtype = str(next(self.denoiser.parameters()).dtype).removeprefix("torch.")
        steps = (
            f"{config.num_inference_steps} step{'s' * (config.num_inference_steps > 1)} of {config.scheduler['name']}"
        )
        return (
            f"Generator({self.name}: writes {config.architecture}{more} for {config.min_classes} to {most} classes "
            f"({self.spec.num_parameters(most):,} parameters at {most});\n"
            f"  knows {len(config.class_names)} classes{' and any other words' if config.open_vocabulary else ''}, "
            f"encoder {config.default_encoder}, {steps}, denoiser of {size:,} parameters ({dtype} on {self.device}))"
        )

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        revision: str | None = None,
        local_files_only: bool = False,
        device: str | torch.device = "auto",
        encoder: str | Encoder | None = None,
        dtype: str | torch.dtype = torch.float32,
        *,
        architecture: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
    ) -> Generator:
        """Load a generator.

        Args:
            name: a registered name (``cifar100-cnn``; `list_generators` lists them), an existing folder or a Hub id,
                ``owner/name`` or ``owner/name@revision``. A text is searched in this order. An existing `Path` is a folder.
            revision: branch, tag or commit of the Hub repository.
            local_files_only: do not ask the Hub; use what was downloaded before.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
            encoder: another encoder of the same space than the default one: a spec or an object. It must be given if the
                default one may use the network or files (see `Encoder`), unless the same plugin provides both.
            dtype: the type of the denoiser's weights: ``float32``, ``bfloat16`` or ``float16``. The smaller ones halve its memory,
                and networks differ a little. Generated networks are in float32 with any of them.
            architecture: the one that it writes by default, if it writes several; see `for_architecture`.
            token: an access token of the Hub; None: the one of `hf auth login` or of ``HF_TOKEN``.
            cache_dir: folder of downloads; None: the Hub client's own.

        Raises:
            UnknownNameError: no generator has that name, or the generator does not write that architecture.
            ConfigError: `dtype` is another type; a revision is given for something that has none, or two different revisions
                are given.
            DownloadError: the Hub repository could not be downloaded.
            CheckpointError: the folder is not a generator of this framework, is incomplete, or was altered.
        """
        registered = registries().generators
        wanted = str(name)
        if isinstance(name, Path) and wanted in registered and name.is_dir():
            wanted = f".{os.sep}{name}"  # a path means the folder, also if a generator has its name
        weights_dtype, place = read_dtype(dtype), resolve_device(device)
        folder = find_folder(wanted, revision, HubAccess(token, cache_dir, local_files_only))
        # Straight to the device, tensor by tensor: the host never holds the whole denoiser for a GPU.
        parts = read_folder(folder, place, weights_dtype)
        generator = cls(
            parts.config, parts.denoiser, parts.normalizer, parts.condition_space, parts.generic, parts.targets
        )
        # The name goes into the records of classifiers, which must not show folders of this machine.
        is_folder = wanted not in registered and user_path(wanted).is_dir()
        generator.name = folder.resolve().name if is_folder else with_revision(wanted, revision)
        generator.folder, generator._provider = folder, provider_of(wanted)
        if encoder is not None:
            generator._encoder = make_encoder(encoder, generator.condition_space)
        return generator if architecture is None else generator.for_architecture(architecture)

    def save_pretrained(
        self, folder: str | Path, card: str | None = None, max_shard_size: int | str = MAX_SHARD_SIZE
    ) -> None:
        """Write config, weights and model card, completely or not at all. An existing generator folder is replaced.

        Args:
            folder: where to write.
            card: the model card (Markdown); None: one made from the configuration. A card in the folder that was edited by
                hand is kept then.
            max_shard_size: above this size, the weights are split into several files: bytes, or a text such as ``500MB``.

        Raises:
            ConfigError: the folder holds other files, or `max_shard_size` is no size.
            CheckpointError: a tensor is not finite.
        """
        write_folder(user_path(folder), self._parts(), card, max_shard_size)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: str | None = None,
        private: bool | None = None,
        commit_message: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        card: str | None = None,
        max_shard_size: int | str = MAX_SHARD_SIZE,
    ) -> str:
        """Upload the folder that `save_pretrained` writes, and return the address of the commit or of the pull request.

        Args:
            repo_id: ``owner/name``. The repository is created if it does not exist.
            token: an access token that may write; None: the one of `hf auth login` or of ``HF_TOKEN``.
            private: whether a new repository is private; None: as the owner's settings say.
            commit_message: None: "Upload the model".
            revision: the branch to commit to, which is created if it does not exist; None: ``main``.
            create_pr: open a pull request in place of committing.
            card: as for `save_pretrained`. With None, a card that somebody edited on the Hub is kept.
            max_shard_size: as for `save_pretrained`.

        Raises:
            DownloadError: the Hub cannot be reached or refuses.
        """
        check_repo_id(repo_id)
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "generator"
            write_folder(folder, self._parts(), card, max_shard_size, hub_id=repo_id)
            return upload(
                folder,
                repo_id,
                token=token,
                private=private,
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
            )

    def to(self, device: str | torch.device) -> Generator:
        """Move the denoiser to a device, and return the generator."""
        self.denoiser.to(resolve_device(device))
        return self

    @cached_property
    def architectures(self) -> Mapping[str, ArchitectureSummary]:
        """The architectures that it writes, the smallest first: name -> size and recorded accuracy."""
        names = self.config.architectures or (self.config.architecture,)
        return summarize_architectures(self.config, {name: make_spec(self.config, name) for name in names})

    def choose_architecture(
        self,
        classes: int | Sequence[str],
        *,
        max_parameters: int | None = None,
        max_flash: int | str | None = None,
    ) -> str:
        """Return the architecture with the best recorded accuracy on validation tasks, among those that are small enough.

        Without any record it is the largest of them. ::

            names = ["apple", "bear", "bus"]
            model = generator(names, architecture=generator.choose_architecture(names, max_flash="16kB"))

        Args:
            classes: the class names of the task, or their number.
            max_parameters: the largest number of parameters.
            max_flash: the most bytes that all constants of the C source with 8-bit integers may take (``tina export --format c``):
                weights, scales, tables and names. The code takes about 1 kB more. A number of bytes, or a text such as ``16kB`` (16,000
                bytes) or ``16KiB`` (16,384). Names count only if `classes` gives them. Architectures that the format cannot hold
                are left out.

        Raises:
            ConfigError: not exactly one budget is given, or no architecture is small enough; the message lists their sizes.
        """
        specs = {name: make_spec(self.config, name) for name in self.architectures}
        return architecture_within(self.architectures, specs, classes, max_parameters, max_flash)

    def for_architecture(self, name: str) -> Generator:
        """Return a generator that writes another architecture by default. It shares the denoiser with this one.

        The thresholds to abstain by and the generic model belong to the architecture that was the default when the generator was
        loaded. So a generator for another one has neither, and its folder has neither if it is saved.

        Args:
            name: one of `architectures`, such as ``cnn-2layer@1.5``.

        Raises:
            ConfigError: the name is no text.
            UnknownNameError: it does not write that architecture.
        """
        known = self.config.architectures or {self.config.architecture: None}
        if not isinstance(name, str):
            raise ConfigError(f"architecture is {shorten(name)}; give the name of one: {', '.join(known)}.")
        if name not in known:
            name = self._same_architecture(name, known)
        if name == self.config.architecture:
            return self
        view = copy.copy(self)
        default, thresholds, generic = self._of_default
        view.config = self.config.for_architecture(name)
        # Thresholds were measured on networks of one architecture, and those of another have other logits. The generic model is
        # that of one architecture, too.
        view.config = replace(view.config, abstention=thresholds if name == default else None)
        view.generic = generic if name == default else None
        view.normalizer = self._targets[name].normalizer
        view.spec = view.normalizer.spec
        return view

    def _same_architecture(self, name: str, known: Mapping[str, object]) -> str:
        """Return the name under which an architecture is known: ``cnn-2layer`` for ``cnn-2layer@1``."""
        architectures = registries().architectures
        with contextlib.suppress(ConfigError):  # a width that its family does not have
            if name in architectures and (found := architectures.create(name).name) in known:
                return str(found)
        raise UnknownNameError(
            f"Generator '{self.name}' does not write the architecture {shorten(name)}.{did_you_mean(name, known)} It writes: "
            f"{', '.join(self.architectures)}."
        )

    def with_rows(self, tokens_BPD: Tensor, condition_BKE: Tensor, layout: TokenLayout) -> Tensor:
        """Return what the denoiser predicted with the fixed forecast of class rows added, which a generator of several has.

        Args:
            tokens_BPD: clean tokens.
            condition_BKE: (B, K, E) conditioning vectors.
            layout: of the tokens, for K classes.
        """
        target = self._targets.get(self.config.architecture)
        rows = None if target is None else target.rows
        return tokens_BPD if rows is None else rows.add(tokens_BPD.float(), condition_BKE, layout)

    def known_target(self, name: str) -> GeneratorTarget | None:
        """Return the parts that belong to an architecture; None if it does not write that architecture."""
        if not self.config.architectures:
            return GeneratorTarget(self.normalizer)
        return self._targets.get(name)

    @property
    def device(self) -> torch.device:
        """The device of the denoiser."""
        return next(self.denoiser.parameters()).device

    @property
    def encoder(self) -> Encoder:
        """The encoder in use: the one given to `from_pretrained`, else the configuration's. It is created when first needed.

        Raises:
            ConfigError: the folder of this generator names an encoder that may use the network or files.
        """
        if self._encoder is not None:
            return self._encoder
        # Kept in a place that all views of `for_architecture` share, so that it is made once for all of them.
        if "made" not in self._own_encoder:
            self._own_encoder["made"] = self._make_encoder()
        return self._own_encoder["made"]

    @encoder.setter
    def encoder(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def _make_encoder(self) -> Encoder:
        spec = self.config.default_encoder
        if self.folder is not None:
            return make_recorded_encoder(spec, self.condition_space, self.name, self._provider)
        return make_encoder(spec, self.condition_space)

    @cached_property
    def _origin(self) -> dict[str, Any]:
        """What the records of classifiers say about the licence and the data of this generator, as far as it is known."""
        found = {LICENSE: license_of(self.folder, self._provider), DATASETS: datasets_of(self.config)}
        return {key: value for key, value in found.items() if value}

    def known_classes(self, encoder: Encoder | None = None, template: int = 0) -> KnownClasses:
        """Return the classes it was trained on, as an encoder sees them."""
        reader = self.encoder if encoder is None else encoder
        # The cached object holds the encoder, so that no other encoder can get the same id.
        key = (id(reader), template)
        if key not in self._known_classes:
            if len(self._known_classes) >= _MAX_KNOWN_CLASSES:
                del self._known_classes[next(iter(self._known_classes))]
            fitted, is_open = self.config.familiarity, self.config.open_vocabulary
            # With an open vocabulary vectors are compared in the generator's space, so one fit serves all encoders.
            familiarity = fitted.get(reader.name) or (fitted.get(self.config.default_encoder) if is_open else None)
            kernel = self.denoiser.kernel if is_open else None
            landmarks_SE = None if kernel is None else kernel.landmarks.detach().cpu().numpy()
            self._known_classes[key] = KnownClasses(
                self.config.class_names, reader, template, self.condition_space, familiarity, landmarks_SE
            )
        return self._known_classes[key]

    def layout(self, num_classes: int) -> TokenLayout:
        """Return the token layout at a class count, without padding."""
        key = self.config.architecture, num_classes
        if key not in self._layouts:
            largest = self.config.denoiser.max_classes
            self._layouts[key] = self.tokenizer.layout(self.spec, num_classes, largest)
        return self._layouts[key]

    # To a type checker, a text is also a sequence of texts. So the first form, which fits a list of texts, has to come first.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, prompts: OneTask, *, num_samples: Literal[1] = 1, **options: Unpack[CallOptions]
    ) -> GeneratedClassifier: ...

    @overload
    def __call__(
        self, prompts: ManyTasks, *, num_samples: Literal[1] = 1, **options: Unpack[CallOptions]
    ) -> list[GeneratedClassifier]: ...

    @overload
    def __call__(self, prompts: Any, *, num_samples: int, **options: Unpack[CallOptions]) -> Any: ...

    def __call__(
        self,
        prompts: Any,
        *,
        encoder: str | Encoder | None = None,
        template: int = 0,
        num_inference_steps: int | None = None,
        seed: int = 0,
        generator: torch.Generator | None = None,
        num_samples: int = 1,
        architecture: str | None = None,
        scheduler: str | NoiseScheduler | None = None,
        batch_size: int = 64,
        compose: bool | ComposeMethod = False,
        on_progress: OnProgress | None = None,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = TENSOR_INPUTS,
    ) -> Any:
        """Generate one classifier for each task.

        The same seed gives the same model for the same classes, up to float rounding: alone or in a batch, in any order of
        the classes. Sample i does not depend on `num_samples`.

        Args:
            prompts: the classes of one task, or a list of tasks. A class is a name, a picture (PIL), or a prompt of
                `tina_framework.prompts.build`. Or one task as a sentence: "tell apples from bears and buses". Or a
                `Path` to a task file. See docs/how-to/prompts.md.
            encoder: another encoder of the same space: a spec or an object.
            template: index of the encoder's prompt template.
            num_inference_steps: denoising steps; None: the generator's default.
            seed: a whole number from 0 to 2^63 - 1.
            generator: a torch generator from which the seed is drawn. Its state moves on, so the next call gives other networks.
                The record of a classifier has the seed that was drawn.
            num_samples: models for each task; above 1, each task gives a list of them.
            architecture: one of `architectures`; None: the default one.
            scheduler: another scheduler for the same noise process: a registry name or a (diffusers) object.
            batch_size: networks sampled at once.
            compose: compose a classifier of several networks where a task has more classes than the generator makes. True or
                ``ensemble`` keeps all of them; ``merge`` averages them into one network, which is smaller and faster, but
                less accurate. See docs/how-to/composing.md.
            on_progress: called with (models done, models in total) after every batch.
            callback_on_step_end: called as ``callback(self, step_index, timestep, callback_kwargs)`` after every denoising step
                of every batch, as in diffusers. It returns a dictionary of the tensors that it changed, or None.
            callback_on_step_end_tensor_inputs: the tensors in `callback_kwargs`: ``latents``, the tokens (B, P, D) of B networks.

        Returns:
            A `GeneratedClassifier` on the generator's device for one task, a list for a list of tasks.

        Raises:
            PromptError: a task has too few or too many classes, an empty name, or two names that mean the same; or a sentence
                cannot be read, or can be read in more than one way.
            ConfigError: encoder, scheduler or settings do not fit.

        Warns:
            PromptWarning: the encoder is unsure what a name means.
        """
        if architecture is not None and (view := self.for_architecture(architecture)) is not self:
            return view(
                prompts,
                encoder=encoder,
                template=template,
                num_inference_steps=num_inference_steps,
                seed=seed,
                generator=generator,
                num_samples=num_samples,
                scheduler=scheduler,
                batch_size=batch_size,
                compose=compose,
                on_progress=on_progress,
                callback_on_step_end=callback_on_step_end,
                callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
            )
        options = SamplingOptions(
            num_inference_steps=num_inference_steps,
            seed=drawn_seed(seed, generator),
            num_samples=num_samples,
            scheduler=scheduler,
            batch_size=batch_size,
            compose=compose,
            on_progress=on_progress,
            on_step_end=step_end(self, callback_on_step_end, callback_on_step_end_tensor_inputs),
        )
        reader = self.encoder if encoder is None else make_encoder(encoder, self.condition_space)
        most = self.config.max_classes if options.compose_method is None else None
        tasks, is_single, were_encoded = encode_prompts(prompts, self.known_classes(reader, template), most)
        # A caller who encodes prompts can look at the encoder's confidence there.
        if not were_encoded:
            for sentence in self.prompt_warnings(tasks, reader):
                warnings.warn(sentence, PromptWarning, stacklevel=2)
        networks = self.generate_networks(tasks, options)
        provenance = {
            "generator": self.name,
            "seed": options.seed,
            "num_inference_steps": options.steps(self.config),
            "scheduler": options.scheduler_name(self.config),
            "encoder": reader.name,
            "space": reader.space,
            **self._origin,
        }
        # The accuracies were recorded with the default steps and scheduler.
        is_default = scheduler is None and options.steps(self.config) == self.config.num_inference_steps
        accuracies = [recorded_accuracy(self.config, reader.name, task) for task in tasks] if is_default else []
        models = make_classifiers(
            self.spec, tasks, networks, self.config, provenance, options.compose_method, accuracies
        )
        grouped: list[Any] = models
        count = options.num_samples
        if count > 1:
            grouped = [models[i : i + count] for i in range(0, len(models), count)]
        return grouped[0] if is_single else grouped

    def prompt_warnings(self, tasks: Sequence[EncodedTask], encoder: Encoder | None = None) -> list[str]:
        """Return one sentence for each problem of prompts that were read; see `tina_framework.prompts.warnings`.

        Args:
            tasks: from `tina_framework.prompts.encoded_task`.
            encoder: the encoder that read them; None: the generator's own.
        """
        reader = self.encoder if encoder is None else encoder
        # An encoder's doubts do not matter for names whose vectors the generator was fitted to, or is made to be used with.
        trained = reader.name in (*self.config.trained_encoders, self.config.default_encoder)
        return prompt_warnings(tasks, reader, self.config.class_names if trained else ())

    def generate_parameters(self, tasks: Sequence[EncodedTask], options: SamplingOptions | None = None) -> list[Tensor]:
        """Return flat parameters (N_K,), `num_samples` for each task, task by task, on the denoiser's device.

        Args:
            tasks: from `tina_framework.prompts.encoded_task`.
            options: default: `SamplingOptions()`. With ``compose="merge"`` a task of too many classes gets one merged network.

        Raises:
            PromptError: a task has too few or too many classes.
            ConfigError: the options do not fit the generator, or ask for an ensemble, which is not one vector.
        """
        options = SamplingOptions() if options is None else options
        if options.compose_method == "ensemble":
            raise ConfigError(
                f"compose is {options.compose!r}, but an ensemble has no single parameter vector; choose 'merge', or call "
                "generate_networks."
            )
        return [networks.merged(self.spec) for networks in self.generate_networks(tasks, options)]

    def generate_networks(
        self, tasks: Sequence[EncodedTask], options: SamplingOptions | None = None
    ) -> list[GeneratedNetworks]:
        """Return what each classifier consists of, `num_samples` for each task, task by task.

        That is one network, or several where a task is composed.

        Args:
            tasks: from `tina_framework.prompts.encoded_task`.
            options: default: `SamplingOptions()`.

        Raises:
            PromptError: a task has too few or too many classes.
            ConfigError: the options do not fit the generator.
        """
        options = SamplingOptions() if options is None else options
        target = self._targets.get(self.config.architecture)
        rows = None if target is None else target.rows
        sampler = ParameterSampler(self.config, self.denoiser, self.normalizer, self.condition_space, self.layout, rows)
        largest = self.config.max_classes
        if options.compose_method is None:
            # Nothing is split then, so that the sampler refuses a task of too many classes.
            largest = max(map(len, tasks), default=0)
        return generate_networks(tasks, options, sampler.sample, largest)

    def _parts(self) -> GeneratorParts:
        config, space = self.config, self.condition_space
        return GeneratorParts(config, self.denoiser, self.normalizer, space, self.generic, self._targets)
