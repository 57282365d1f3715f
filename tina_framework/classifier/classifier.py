"""`GeneratedClassifier`: a small network with its class names and preprocessing. It works without the generator.

Shapes: N pictures, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.classifier.abstention import abstention_scores, check_threshold
from tina_framework.classifier.folder import (
    FORMAT,
    ClassifierConfig,
    check_dtype,
    check_has_trunk,
    read_folder,
    replaceable,
    write_folder,
)
from tina_framework.errors import ConfigError, reason_of, shorten
from tina_framework.images import Preprocessing
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.whole_numbers import plain_number, whole_number
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import to_json
from tina_framework.storage.paths import user_path
from tina_framework.targets.ensemble import Ensemble, build_network, member_names
from tina_framework.targets.saved_trunk import SavedTrunk
from tina_framework.targets.trunk import trunk_features

if TYPE_CHECKING:
    from tina_framework.classifier.exporting.export import ExportReport
    from tina_framework.classifier.fine_tuning.data import FineTuneData
    from tina_framework.classifier.fine_tuning.settings import FineTuneSettings, HeadSettings

__all__ = ["FORMAT", "NONE_OF_THESE", "GeneratedClassifier", "replaceable"]

NONE_OF_THESE = None
"""The answer of a classifier that abstains."""

_BATCH = 1000
_BATCH_BEHIND_TRUNK = 32
"""A trunk computes many channels of large pictures. Larger batches need more memory, and on CPUs they are no faster."""


class GeneratedClassifier(nn.Module):
    """A network for the classes that it was generated for.

    Args:
        network: a module that the architecture built, or an `Ensemble` of them. It returns logits (N, K) of pictures (N, C, H, W),
            or of the features of the architecture's frozen trunk.
        architecture: the architecture, or its registry name. A frozen trunk is used only if the object is given.
        class_names: K names; output k belongs to `class_names[k]`.
        preprocessing: how pictures are turned into the input.
        provenance: how the classifier was made (generator, seed, steps, encoder, ...): any JSON values.
        abstention_threshold: pictures whose score is lower may be answered with "none of these"; None: the threshold is unknown.

    Raises:
        ConfigError: a class name is empty, too long or not printable, or occurs twice; the threshold is not finite; or
            the provenance has no form in JSON.
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: str | TargetArchitecture,
        class_names: Sequence[str],
        preprocessing: Preprocessing,
        provenance: Mapping[str, Any] | None = None,
        abstention_threshold: float | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        # The trunk is not a submodule: all classifiers of the process share it, and it is neither saved nor trained.
        self._architecture = None if isinstance(architecture, str) else architecture
        self.architecture = architecture if isinstance(architecture, str) else architecture.name
        self.class_names = checked_names(class_names, "class_names", ConfigError)
        self.preprocessing = preprocessing
        self.provenance = _json_values(provenance or {})
        self.abstention_threshold = None if abstention_threshold is None else check_threshold(abstention_threshold)
        self.eval()

    @classmethod
    def from_state(
        cls,
        architecture: TargetArchitecture,
        class_names: Sequence[str],
        state: Mapping[str, Tensor],
        provenance: Mapping[str, Any] | None = None,
        abstention_threshold: float | None = None,
        members: Sequence[Sequence[int]] | None = None,
    ) -> GeneratedClassifier:
        """Return a classifier with copies of generated parameters, on their device.

        Args:
            architecture: builds the network.
            class_names: K names.
            state: the parameters, under the architecture's names. For an ensemble, with the prefixes ``members.0.``, ``members.1.``, ...
            provenance: as for the class.
            abstention_threshold: as for the class.
            members: the class indices of each network of an ensemble; None: one network for all classes.

        Raises:
            ConfigError: `members` do not fit the classes.
        """
        network = build_network(architecture, len(class_names), state, members)
        preprocessing = Preprocessing.of(architecture)
        return cls(network, architecture, class_names, preprocessing, provenance, abstention_threshold)

    @property
    def num_parameters(self) -> int:
        """The number of generated parameters, without those of a frozen trunk."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def members(self) -> tuple[tuple[int, ...], ...] | None:
        """The class indices of each network of an ensemble; None: one network for all classes."""
        return self.network.groups if isinstance(self.network, Ensemble) else None

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.network.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of standardised pictures (N, C, H, W). `predict` takes raw pictures instead."""
        logits: Tensor = self.network(self.network_input(images))
        return logits

    def network_input(self, images: Tensor) -> Tensor:
        """Return what the network takes: the standardised pictures (N, C, H, W), or a frozen trunk's features of them."""
        return images if self._architecture is None else trunk_features(self._architecture, images)

    @property
    def trunk(self) -> FrozenTrunk | None:
        """The frozen network in front of the generated one, or None."""
        return None if self._architecture is None else self._architecture.trunk

    @property
    def class_tensors(self) -> frozenset[str]:
        """The names of the parameters that grow with the number of classes; the others are shared by all classes."""
        architecture = self._architecture or registries().architectures.create(self.architecture)
        names = [name for name, axis in ParameterSpec(architecture).class_axes.items() if axis is not None]
        if self.members is None:
            return frozenset(names)
        return frozenset(name for index in range(len(self.members)) for name in member_names(index, names))

    def predict_proba(self, images: Any, batch_size: int | None = None) -> npt.NDArray[np.float32]:
        """Return the probabilities (N, K).

        Args:
            images: one picture or many, of any size and mode: paths, PIL images, uint8 arrays (H, W, 3) or
                (N, H, W, 3), torch tensors; see `tina_framework.images.pictures`.
            batch_size: pictures per forward pass; so many are in memory at a time. None: 32 behind a frozen trunk, else 1,000.

        Raises:
            DataError: a picture is unreadable or of the wrong type.
            ConfigError: `batch_size` is not a whole number of at least 1.
        """
        return self._logits(images, batch_size).softmax(dim=1).numpy()

    def _logits(self, images: Any, batch_size: int | None = None) -> Tensor:
        """Return (N, K) float32 logits of raw pictures, on the CPU."""
        if batch_size is None:
            batch_size = _BATCH if self.trunk is None else _BATCH_BEHIND_TRUNK
        batch_size = whole_number(batch_size, "batch_size", 1)
        none = torch.zeros(0, len(self.class_names), dtype=torch.float32)
        parts = [self.logits(pixels) for pixels in self.preprocessing.batches(images, batch_size)]
        return torch.cat([none, *parts])

    def logits(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """Return the logits (N, K) float32 of pixels (N, H, W, 3) that `preprocessing.pixels` returned, on the CPU.

        All pictures are computed at once. For many pictures, use `predict_proba`, which works in batches.
        """
        network = self.network
        if any(module.training for module in network.modules()):
            # After the caller's own training loop, dropout would be at work. Other threads may need the mode, so copy.
            network = copy.deepcopy(network).eval()
        with torch.no_grad():
            inputs = self.preprocessing(pixels, self.device)
            return self._checked(network(self.network_input(inputs))).float().cpu()

    def _checked(self, logits: Tensor) -> Tensor:
        if logits.shape[1:] != (len(self.class_names),):
            raise ConfigError(
                f"The network returns logits of the shape {tuple(logits.shape)} for {len(self.class_names)} class names; "
                "give one name for each output."
            )
        return logits

    @overload
    def predict(self, images: Any, abstain: Literal[False] = ...) -> list[str]: ...

    @overload
    def predict(self, images: Any, abstain: float) -> list[str | None]: ...

    def predict(self, images: Any, abstain: float = False) -> list[str] | list[str | None]:
        """Return the most likely class name of each picture.

        Args:
            images: the pictures, as `predict_proba` takes them.
            abstain: if True, the answer is `NONE_OF_THESE` (None) for pictures whose score is below the classifier's threshold.
                If a number, this is the threshold. See docs/how-to/abstaining.md.

        Raises:
            DataError: a picture is unreadable or of the wrong type.
            ConfigError: `abstain` is True but the classifier has no threshold, or it is not a finite number.
        """
        abstain = plain_number(abstain)
        logits = self._logits(images)
        names = [self.class_names[k] for k in logits.argmax(dim=1)]
        if abstain is False:
            return names
        threshold = self.threshold_or_own(None if abstain is True else abstain)
        unsure = (abstention_scores(logits) < threshold).tolist()
        return [NONE_OF_THESE if low else name for name, low in zip(names, unsure, strict=True)]

    def abstention_scores(self, images: Any) -> npt.NDArray[np.float32]:
        """Return (N,) scores that thresholds are compared with: the greatest logit of each picture. Higher is surer."""
        scores: npt.NDArray[np.float32] = abstention_scores(self._logits(images)).numpy()
        return scores

    def abstains(self, images: Any, threshold: float | None = None) -> npt.NDArray[np.bool_]:
        """Return (N,) whether the classifier abstains from each picture.

        Args:
            images: the pictures.
            threshold: abstain below this score; None: the classifier's own threshold.

        Raises:
            DataError, ConfigError: as `predict`.
        """
        limit = self.threshold_or_own(threshold)  # refused before the pictures are read
        return self.abstention_scores(images) < limit

    def threshold_or_own(self, threshold: float | None = None) -> float:
        """Return the threshold to abstain by: the one given, else the classifier's own.

        Raises:
            ConfigError: the given one is not a finite number, or the classifier has none of its own.
        """
        if threshold is not None:
            return check_threshold(threshold)
        if self.abstention_threshold is None:
            tuned = "fine_tuning" in self.provenance
            give = "give one with --threshold, or abstain=NUMBER in Python"
            raise ConfigError(
                f"This classifier has no threshold to abstain by (fine-tuning changes scores); {give}. "
                "docs/how-to/abstaining.md says how to find one."
                if tuned
                else f"This classifier has no threshold to abstain by (its generator was not calibrated); {give}, or "
                "calibrate the generator with 'tina calibrate' and generate again."
            )
        return self.abstention_threshold

    def predict_topk(self, images: Any, k: int = 3) -> list[list[tuple[str, float]]]:
        """Return the k most likely classes of each picture as (class name, probability), the most likely first.

        If k is greater than K, all K classes are returned.

        Raises:
            ConfigError: k is not a whole number of at least 1.
        """
        whole_number(k, "k", 1)  # refused before the pictures are read
        return self.topk_of(self._logits(images), k)

    def topk_of(self, logits: Tensor, k: int = 3) -> list[list[tuple[str, float]]]:
        """Return what `predict_topk` returns, from logits (N, K)."""
        k = whole_number(k, "k", 1)
        probabilities = logits.softmax(dim=1).numpy()
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
        settings: FineTuneSettings | HeadSettings | None = None,
        seed: int = 0,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> GeneratedClassifier:
        """Return a new classifier, fine-tuned on a few pictures. This one is not changed. See docs/how-to/fine-tuning.md.

        Args:
            images: pictures as `predict` takes them, at least one of every class. With `HeadSettings`, two classes are enough, and
                classes without pictures keep their rows.
            labels: one per picture: class names, or indices into `class_names`.
            settings: how to fine-tune. Default: `HeadSettings()` if the network is one linear or cosine head on a frozen trunk;
                else `FineTuneSettings.for_pictures` of the median number of pictures per class.
            seed: the same seed, pictures and settings give the same classifier. `HeadSettings` need no random numbers.
            on_progress: called with (steps done, steps).

        Returns:
            A classifier whose `provenance` has one more entry in the list ``fine_tuning``. A frozen trunk stays frozen. The
            classifier has no threshold to abstain by, because fine-tuning changes the scores.

        Raises:
            DataError: a picture is unreadable, a label is not a class, a class has no picture, or the lengths differ.
            TrainingError: the loss is not finite.
        """
        from tina_framework.classifier.fine_tuning.data import FineTuneData

        return self.fine_tuned_on(FineTuneData.prepare(self, images, labels, settings, seed), on_progress)

    def fine_tuned_on(self, data: FineTuneData, on_progress: Callable[[int, int], None]) -> GeneratedClassifier:
        """Return a new classifier, as `fine_tune` does, from pictures that `FineTuneData.prepare` has read."""
        network = data.train(on_progress=on_progress)
        provenance = {**self.provenance, "fine_tuning": [*self.provenance.get("fine_tuning", ()), data.record()]}
        return GeneratedClassifier(
            network, self._architecture or self.architecture, self.class_names, self.preprocessing, provenance
        )

    def save_pretrained(
        self, folder: str | Path, *, include_trunk: bool | None = None, dtype: str | torch.dtype | None = None
    ) -> None:
        """Write `config.json` and `model.safetensors`, atomically. An existing classifier folder is replaced.

        The tensors have the architecture's names, so that the plain module can load them without this package. Those of an
        ensemble have the prefixes ``members.0.``, ``members.1.``, ... The name of a frozen trunk and the hash of its weights are
        recorded, and its plugin must be installed to load the folder.

        Args:
            folder: where to write.
            include_trunk: also write the weights of the frozen trunk, to `trunk.safetensors`. Loading the folder then needs the
                code of the trunk's plugin, but not the package with its weights. None: if the classifier was loaded with them.
            dtype: ``float16`` stores weights in half the space. They are computed with in float32 after loading. None: float32.

        Raises:
            ConfigError: the folder holds something else, there is no trunk to include, or the dtype is another one.
            CheckpointError: a parameter is not finite, or too large for the dtype.
        """
        stored = check_dtype(dtype)
        architecture = self._architecture or self.architecture
        if include_trunk is None:
            include_trunk = self.trunk is not None and isinstance(self.trunk.build, SavedTrunk)
        elif include_trunk:
            check_has_trunk(self.architecture, self.trunk)
        config = ClassifierConfig(
            architecture, self.class_names, self.preprocessing, self.provenance, self.abstention_threshold, self.members
        )
        state = self.network.state_dict()
        write_folder(user_path(folder), config, state, include_trunk=include_trunk, dtype=stored)

    def export(
        self,
        path: str | Path,
        format: str,
        *,
        int8: Any = None,
        pictures: Any = None,
        labels: Any = None,
        min_agreement: float = 0.98,
    ) -> ExportReport:
        """Write the classifier for a program without this package, load it again, and compare the answers.

        The file takes pictures (N, H, W, 3) uint8 that are cropped and scaled already, and returns logits (N, K). Standardisation
        and a frozen trunk are inside. What it needs besides is in its metadata. See docs/how-to/export.md.

        Args:
            path: the file, or the folder for formats that write several files. An earlier export is replaced.
            format: a name of `tina_framework.list_exporters`.
            int8: compute with 8-bit integers, whose ranges are chosen on these pictures. None: floating point.
            pictures: on which to compare. None: those of `int8`, else made-up pictures.
            labels: of `pictures`, as for `fine_tune`; the accuracy of both is measured.
            min_agreement: with `int8`, the smallest share of equal answers. In floating point all answers have to agree.

        Raises:
            ConfigError: the format is unknown, cannot hold this network, or needs pictures; or the place holds something else.
            DataError: a picture or label is not valid.
            DependencyError: a package of the format is not installed.
            ExportError: the network cannot be converted, or the file does not answer as the classifier does. In all these
                cases nothing is written.
        """
        from tina_framework.classifier.exporting.export import export_classifier

        return export_classifier(
            self, user_path(path), format, int8=int8, pictures=pictures, labels=labels, min_agreement=min_agreement
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> GeneratedClassifier:
        """Load a folder that `save_pretrained` wrote.

        Raises:
            CheckpointError: the folder is something else, incomplete or altered.
        """
        config, architecture, state = read_folder(user_path(folder))
        classifier = cls.from_state(
            architecture, config.class_names, state, config.provenance, config.abstention_threshold, config.members
        )
        classifier.preprocessing = config.preprocessing
        return classifier.to(device)


def _json_values(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provenance as `config.json` will hold it, so that saving cannot fail after the work was done."""
    try:
        return dict(json.loads(to_json(dict(provenance))))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The provenance {shorten(provenance)} cannot be stored as JSON ({reason_of(error, 100)}); "
            "give a dictionary of numbers and texts."
        ) from error
