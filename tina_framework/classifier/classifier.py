"""`GeneratedClassifier`: a small network with its class names and preprocessing. Needs no generator to load and predict.

Shapes: N pictures, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.classifier.abstention import abstention_scores, check_threshold
from tina_framework.classifier.folder import FORMAT, ClassifierConfig, read_folder, replaceable, write_folder
from tina_framework.errors import ConfigError
from tina_framework.images import Preprocessing, pictures
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.targets.ensemble import Ensemble, build_network, member_names
from tina_framework.targets.trunk import trunk_features

if TYPE_CHECKING:
    from tina_framework.classifier.fine_tuning.data import FineTuneData
    from tina_framework.classifier.fine_tuning.settings import FineTuneSettings

__all__ = ["FORMAT", "NONE_OF_THESE", "GeneratedClassifier", "replaceable"]

NONE_OF_THESE = None
"""The answer of a classifier that abstains."""


class GeneratedClassifier(nn.Module):
    """A network for exactly the classes it was generated for.

    Args:
        network: (N, C, H, W) -> logits (N, K), or the features of the architecture's frozen trunk -> logits; built by the architecture,
            or an `Ensemble` of such.
        architecture: its registry name, which rebuilds it; given as a `TargetArchitecture`, a frozen trunk of it is used.
        class_names: K names; output k stands for `class_names[k]`.
        preprocessing: what its input looks like.
        provenance: generator, seed, steps, encoder, package version: any JSON.
        abstention_threshold: pictures whose score is lower may be answered with "none of these"; None: the threshold is unknown.
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
        # The trunk is no submodule: it is shared by all classifiers of the process, and neither saved nor trained with one.
        self._architecture = None if isinstance(architecture, str) else architecture
        self.architecture = architecture if isinstance(architecture, str) else architecture.name
        self.class_names = tuple(class_names)
        self.preprocessing = preprocessing
        self.provenance = dict(provenance or {})
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
        """A classifier around copies of generated parameters, on their device.

        Args:
            architecture: builds the network.
            class_names: K names.
            state: the architecture's own names; of an ensemble ``members.0.`` and so on stand before them.
            provenance: as for the class.
            abstention_threshold: as for the class.
            members: of an ensemble: the numbers of the classes that each of its networks knows; None: one network for all.

        Raises:
            ConfigError: `members` do not fit the classes.
        """
        network = build_network(architecture, len(class_names), state, members)
        preprocessing = Preprocessing.of(architecture)
        return cls(network, architecture, class_names, preprocessing, provenance, abstention_threshold)

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def members(self) -> tuple[tuple[int, ...], ...] | None:
        """The numbers of the classes that each network of an ensemble knows; None: it is one network, for all classes."""
        return self.network.groups if isinstance(self.network, Ensemble) else None

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
        names = [name for name, axis in ParameterSpec(architecture).class_axes.items() if axis is not None]
        if self.members is None:
            return frozenset(names)
        return frozenset(name for place in range(len(self.members)) for name in member_names(place, names))

    def predict_proba(self, images: Any, batch_size: int = 1000) -> npt.NDArray[np.float32]:
        """Probabilities (N, K).

        Args:
            images: one picture or many, of any size and mode: paths, PIL images, uint8 arrays (H, W, 3) or
                (N, H, W, 3), torch tensors; see `tina_framework.images.pictures`.
            batch_size: pictures at once.

        Raises:
            DataError: a picture is unreadable or of the wrong type.
        """
        return self._logits(images, batch_size).softmax(dim=1).numpy()

    def _logits(self, images: Any, batch_size: int = 1000) -> Tensor:
        """(N, K) float32 logits of raw pictures, on the CPU."""
        pixels = pictures(images, self.preprocessing.size)
        parts = [torch.zeros(0, len(self.class_names))]
        with torch.inference_mode():
            for start in range(0, len(pixels), batch_size):
                logits = self(self.preprocessing(pixels[start : start + batch_size], self.device))
                parts.append(logits.float().cpu())
            return torch.cat(parts)

    @overload
    def predict(self, images: Any, abstain: Literal[False] = ...) -> list[str]: ...

    @overload
    def predict(self, images: Any, abstain: float) -> list[str | None]: ...

    def predict(self, images: Any, abstain: float = False) -> list[str] | list[str | None]:
        """The likeliest class name of each picture; takes what `predict_proba` takes.

        Args:
            images: the pictures.
            abstain: True: the answer is `NONE_OF_THESE` (None) for pictures whose score is below the classifier's threshold; a
                number: below that one. See docs/guide/abstaining.md.

        Raises:
            DataError: a picture is unreadable or of the wrong type.
            ConfigError: `abstain` is True, but the classifier has no threshold; or it is no finite number.
        """
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
            why = "fine-tuning changes scores" if tuned else "its generator was not calibrated"
            raise ConfigError(
                f"This classifier has no threshold to abstain by ({why}); give one, or calibrate the generator with "
                "'tina calibrate' and generate again."
            )
        return self.abstention_threshold

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
        """A new classifier that was trained further on a few pictures; this one stays as it is. See docs/guide/fine-tuning.md.

        Args:
            images: what `predict` takes; at least one picture of every class.
            labels: one a picture: class names, or places in `class_names`.
            settings: how to train; default: `FineTuneSettings.for_pictures`, by the median number of pictures a class.
            seed: the same seed, pictures and settings give the same classifier.
            on_progress: called with (steps done, steps).

        Returns:
            A classifier whose `provenance` has one entry more in its list ``fine_tuning``. A frozen trunk stays frozen. It has
            no threshold to abstain by: its scores are others.

        Raises:
            DataError: a picture is unreadable, a label is no class, a class has no picture, or the lengths differ.
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

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors`, whole or not at all; an existing classifier folder is replaced.

        The tensors have the architecture's own names: they load into the plain module without this package; those of an ensemble's
        networks have ``members.0.`` and so on before them. A frozen trunk is not written, but named, with a hash of its weights:
        its plugin must be there to load the folder.

        Raises:
            ConfigError: the place holds something else.
            CheckpointError: a parameter is not finite.
        """
        architecture = self._architecture or self.architecture
        config = ClassifierConfig(
            architecture, self.class_names, self.preprocessing, self.provenance, self.abstention_threshold, self.members
        )
        write_folder(Path(folder), config, self.network.state_dict())

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> GeneratedClassifier:
        """Loads a folder that `save_pretrained` wrote.

        Raises:
            CheckpointError: it is something else, incomplete or altered.
        """
        config, architecture, state = read_folder(Path(folder))
        classifier = cls.from_state(
            architecture, config.class_names, state, config.provenance, config.abstention_threshold, config.members
        )
        classifier.preprocessing = config.preprocessing
        return classifier.to(device)
