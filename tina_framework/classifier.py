"""`GeneratedClassifier`: a small network with its class names and preprocessing. Needs no generator to load and predict.

Shapes: N pictures, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.discovery import registries
from tina_framework.errors import CheckpointError, ConfigError, PluginError
from tina_framework.files import check_tensors, read_safetensors, write_json, write_safetensors
from tina_framework.folders import (
    CONFIG,
    HASHES,
    PLUGINS,
    WEIGHTS,
    check_hash,
    hashes,
    holds_only,
    plugin_hint,
    plugins_of,
    read_config,
    writing_folder,
)
from tina_framework.images import Preprocessing, pictures
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.spec import ParameterSpec
from tina_framework.trunk import check_record, record_of, trunk_features

if TYPE_CHECKING:
    from tina_framework.fine_tuning.lesson import Lesson
    from tina_framework.fine_tuning.settings import FineTuneSettings

__all__ = ["FORMAT", "GeneratedClassifier", "replaceable"]

FORMAT = "tina-classifier"
FORMAT_VERSION = 1

_FILES = frozenset({CONFIG, WEIGHTS})
_NEEDS = f"{CONFIG} with format '{FORMAT}' and {WEIGHTS}, as `tina generate` and save_pretrained write them"
_TRUNK = "trunk"
_KEYS = ("architecture", "class_names", "preprocessing", "provenance")


class GeneratedClassifier(nn.Module):
    """A network for exactly the classes it was generated for.

    Args:
        network: (N, C, H, W) -> logits (N, K), or the features of the architecture's frozen trunk -> logits.
        architecture: its registry name, which rebuilds it; given as a `TargetArchitecture`, a frozen trunk of it is used.
        class_names: K names; output k stands for `class_names[k]`.
        preprocessing: what its input looks like.
        provenance: generator, seed, steps, encoder, package version: any JSON.
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: str | TargetArchitecture,
        class_names: Sequence[str],
        preprocessing: Preprocessing,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        # The trunk is no submodule: it is shared by all classifiers of the process, and neither saved nor trained with one.
        self._architecture = None if isinstance(architecture, str) else architecture
        self.architecture = architecture if isinstance(architecture, str) else architecture.name
        self.class_names = tuple(class_names)
        self.preprocessing = preprocessing
        self.provenance = dict(provenance or {})
        self.eval()

    @classmethod
    def from_state(
        cls,
        architecture: TargetArchitecture,
        class_names: Sequence[str],
        state: Mapping[str, Tensor],
        provenance: Mapping[str, Any] | None = None,
    ) -> GeneratedClassifier:
        """A classifier around generated parameters, on their device. `state`: the architecture's own names."""
        with torch.device("meta"):
            network = architecture.build(len(class_names))
        copies = {
            name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()
        }  # not views of a file or of a batch
        network.load_state_dict(copies, assign=True)
        preprocessing = Preprocessing(architecture.input_shape, architecture.mean, architecture.std)
        return cls(network, architecture, class_names, preprocessing, provenance)

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of pictures (N, C, H, W) that are standardised already; `predict` takes raw ones."""
        logits: Tensor = self.network(self.network_input(images))
        return logits

    def network_input(self, images: Tensor) -> Tensor:
        """What the network takes: standardised pictures (N, C, H, W) themselves, or a frozen trunk's features of them."""
        return images if self._architecture is None else trunk_features(self._architecture, images)

    @property
    def trunk(self) -> FrozenTrunk | None:
        """The frozen network in front, if there is one."""
        return None if self._architecture is None else self._architecture.trunk

    @property
    def class_tensors(self) -> frozenset[str]:
        """Names of the parameters that grow with the number of classes; the others are shared by all classes."""
        architecture = self._architecture or registries().architectures.create(self.architecture)
        return frozenset(name for name, axis in ParameterSpec(architecture).class_axes.items() if axis is not None)

    def predict_proba(self, images: Any, batch_size: int = 1000) -> npt.NDArray[np.float32]:
        """Probabilities (N, K).

        Args:
            images: one picture or many, of any size and mode: paths, PIL images, uint8 arrays (H, W, 3) or
                (N, H, W, 3), torch tensors; see `tina_framework.images.pictures`.
            batch_size: pictures at once.

        Raises:
            DataError: a picture is unreadable or of the wrong type.
        """
        pixels = pictures(images, self.preprocessing.size)
        parts = [np.zeros((0, len(self.class_names)), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pixels), batch_size):
                logits = self(self.preprocessing(pixels[start : start + batch_size], self.device))
                parts.append(logits.float().softmax(dim=1).cpu().numpy())
        return np.concatenate(parts)

    def predict(self, images: Any) -> list[str]:
        """The likeliest class name of each picture; takes what `predict_proba` takes."""
        return [self.class_names[k] for k in self.predict_proba(images).argmax(axis=1)]

    def predict_topk(self, images: Any, k: int = 3) -> list[list[tuple[str, float]]]:
        """The k likeliest (class name, probability) of each picture, likeliest first; all K if k is larger.

        Raises:
            ConfigError: k is below 1.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; ask for at least 1 class.")
        probabilities = self.predict_proba(images)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(self.class_names[i], float(row[i])) for i in order]
            for row, order in zip(probabilities, best, strict=True)
        ]

    def fine_tune(
        self,
        images: Any,
        labels: Any,
        *,
        settings: FineTuneSettings | None = None,
        seed: int = 0,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> GeneratedClassifier:
        """A new classifier that was trained further on a few pictures; this one stays as it is. See docs/fine-tuning.md.

        Args:
            images: what `predict` takes; at least one picture of every class.
            labels: one a picture: class names, or places in `class_names`.
            settings: how to train; default: `FineTuneSettings.for_pictures`, by the median number of pictures a class.
            seed: the same seed, pictures and settings give the same classifier.
            on_progress: called with (steps done, steps).

        Returns:
            A classifier whose `provenance` has one entry more in its list ``fine_tuning``. A frozen trunk stays frozen.

        Raises:
            DataError: a picture is unreadable, a label is no class, a class has no picture, or the lengths differ.
            TrainingError: the loss is not finite.
        """
        from tina_framework.fine_tuning.lesson import Lesson

        return self.learnt(Lesson.prepare(self, images, labels, settings, seed), on_progress)

    def learnt(self, lesson: Lesson, on_progress: Callable[[int, int], None]) -> GeneratedClassifier:
        """As `fine_tune`, from pictures that `Lesson.prepare` made ready."""
        network = lesson.network(on_progress=on_progress)
        provenance = {**self.provenance, "fine_tuning": [*self.provenance.get("fine_tuning", ()), lesson.record()]}
        return GeneratedClassifier(
            network, self._architecture or self.architecture, self.class_names, self.preprocessing, provenance
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors`, whole or not at all; an existing classifier folder is replaced.

        The tensors have the architecture's own names: they load into the plain module without this package. A frozen trunk is
        not written, but named, with a hash of its weights: its plugin must be there to load the folder.

        Raises:
            ConfigError: the place holds something else.
            CheckpointError: a parameter is not finite.
        """
        state = self.network.state_dict()
        check_tensors(
            state, {name: tuple(tensor.shape) for name, tensor in state.items()}, "The classifier to be saved"
        )
        with writing_folder(Path(folder), replaceable, "classifier") as new:
            write_safetensors(new / WEIGHTS, state, {"format": "pt"})
            write_json(new / CONFIG, self._config() | {HASHES: hashes(new / WEIGHTS)})

    def _config(self) -> dict[str, Any]:
        from tina_framework import __version__

        # An architecture of the running program may have left the registry by now.
        known = self.architecture in registries().architectures
        plugins = plugins_of(architectures=self.architecture) if known else {}
        trunk = None if self._architecture is None else record_of(self._architecture)
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "architecture": self.architecture,
            "class_names": list(self.class_names),
            "preprocessing": {
                "input_shape": list(self.preprocessing.input_shape),
                "mean": list(self.preprocessing.mean),
                "std": list(self.preprocessing.std),
            },
            "provenance": {"package_version": __version__, **self.provenance},
            **({} if trunk is None else {_TRUNK: trunk}),
            **plugins,
        }

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> GeneratedClassifier:
        """Loads a folder that `save_pretrained` wrote.

        Raises:
            CheckpointError: it is something else, incomplete or altered.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise CheckpointError(f"'{folder}' is not a folder; a classifier folder holds {_NEEDS}.")
        values = read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)
        source = f"'{folder / CONFIG}'"
        architecture, class_names, preprocessing = _checked(values, source)
        infos = ParameterSpec(architecture).parameters(len(class_names))
        state = read_safetensors(folder / WEIGHTS)
        check_tensors(state, {info.name: info.shape for info in infos}, f"'{folder / WEIGHTS}'")
        check_hash(folder / WEIGHTS, values)
        classifier = cls.from_state(architecture, class_names, state, values["provenance"])
        classifier.preprocessing = preprocessing
        return classifier.to(device)


def replaceable(path: Path) -> bool:
    """Whether `path` is a classifier folder and nothing else."""
    return holds_only(path, FORMAT, _FILES)


def _checked(values: Mapping[str, Any], source: str) -> tuple[TargetArchitecture, tuple[str, ...], Preprocessing]:
    """What a classifier's `config.json` says, each value checked."""
    unknown = sorted(values.keys() - {"format", "format_version", HASHES, PLUGINS, _TRUNK, *_KEYS})
    missing = [key for key in _KEYS if key not in values]
    if unknown or missing:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown {', '.join(unknown)}"
        raise CheckpointError(f"{source} {what}; it was altered or made by something else.")
    names = values["class_names"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise CheckpointError(f"{source}: class_names is {names!r}, not a list of names.")
    if len(set(names)) != len(names):
        raise CheckpointError(f"{source}: class_names has a name twice; it was altered.")
    if not isinstance(values["architecture"], str) or not isinstance(values["provenance"], Mapping):
        raise CheckpointError(f"{source}: architecture must be a name and provenance a table; it was altered.")
    try:
        architecture = registries().architectures.create(values["architecture"])
    except (ConfigError, PluginError) as error:
        raise CheckpointError(
            f"{source} names an architecture that cannot be made: {error}{plugin_hint(values)}"
        ) from error
    if not isinstance(architecture, TargetArchitecture):
        raise CheckpointError(
            f"{source}: '{values['architecture']}' did not make a TargetArchitecture; its plugin is at fault."
        )
    check_record(values.get(_TRUNK), architecture, source)
    preprocessing = _preprocessing(values["preprocessing"], source)
    if preprocessing.input_shape != tuple(architecture.input_shape):
        raise CheckpointError(
            f"{source}: input_shape is {preprocessing.input_shape}, but '{architecture.name}' takes {architecture.input_shape}."
        )
    return architecture, tuple(names), preprocessing


def _preprocessing(values: Any, source: str) -> Preprocessing:
    try:
        shape = tuple(int(length) for length in values["input_shape"])
        mean, std = (tuple(float(number) for number in values[key]) for key in ("mean", "std"))
        fine = (
            len(shape) == 3 and len(mean) == len(std) == shape[0] and np.isfinite([*mean, *std]).all() and min(std) > 0
        )
    except (TypeError, KeyError, ValueError):
        fine = False
    if not fine:
        raise CheckpointError(
            f"{source}: preprocessing is {values!r}; expected input_shape [C, H, W], and mean and std of C numbers each."
        )
    return Preprocessing((shape[0], shape[1], shape[2]), mean, std)
