"""`Predictor`: a network with its class names and preprocessing, which answers for raw pictures.

Shapes: N pictures, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.classifier.abstention import abstention_scores, check_threshold
from tina_framework.errors import ConfigError, DataError, reason_of, shorten
from tina_framework.images import Preprocessing
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.whole_numbers import plain_number, whole_number
from tina_framework.storage.files import to_json
from tina_framework.targets.device import resolve_device
from tina_framework.targets.trunk import trunk_features

__all__ = ["NONE_OF_THESE", "Predictor", "network_dtype"]

NONE_OF_THESE = None
"""The answer of a classifier that abstains."""

_BATCH = 1000
_BATCH_BEHIND_TRUNK = 32
"""A trunk computes many channels of large pictures. Larger batches need more memory, and on CPUs they are no faster."""

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""The types that layers compute in."""


def network_dtype(network: nn.Module) -> torch.dtype:
    """Return the type of the network's weights, which its inputs must have; float32 if it has none."""
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)


class Predictor(nn.Module):
    """A network, and what it takes to answer for raw pictures. `GeneratedClassifier` adds fine-tuning and folders.

    Args:
        network: see `GeneratedClassifier`.
        architecture: see `GeneratedClassifier`.
        class_names: K names; output k belongs to `class_names[k]`.
        preprocessing: how pictures are turned into the input.
        provenance: how it was made: any JSON values.
        abstention_threshold: the score below which it may abstain; None: unknown.

    Raises:
        ConfigError: a class name is not valid, the threshold is not finite, or the provenance has no form in JSON.
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

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """The class names (K,) as an array, under the name that scikit-learn gives it."""
        return np.array(self.class_names)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the parameters: float32, or what `half`, `bfloat16` or `double` made of them."""
        return network_dtype(self.network)

    @property
    def trunk(self) -> FrozenTrunk | None:
        """The frozen network in front of the generated one, or None. It computes in its own type, whatever `dtype` is."""
        return None if self._architecture is None else self._architecture.trunk

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the parameters to a device, or change their type. The arguments are those of `torch.nn.Module.to`.

        The device may also be ``auto``, as in `from_pretrained`.

        Raises:
            ConfigError: the machine has no such device, or layers cannot compute in that type.
        """
        given = [_device_or_dtype(value) for value in args]
        return super().to(*given, **{name: _device_or_dtype(value) for name, value in kwargs.items()})

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of standardised pictures (N, C, H, W). `predict` takes raw pictures instead.

        Raises:
            DataError: something else than a floating-point tensor (N, C, H, W) is given.
        """
        _check_standardised(images, self.preprocessing.input_shape[0])
        logits: Tensor = self.network(self.network_input(images).to(self.dtype))
        return logits

    def network_input(self, images: Tensor) -> Tensor:
        """Return what the network takes: the standardised pictures (N, C, H, W), or a frozen trunk's features of them."""
        if self._architecture is None or self._architecture.trunk is None:
            return images
        # The trunk computes in full precision, also where the caller has turned the pictures into half precision.
        return trunk_features(self._architecture, images.float())

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
            features = self.network_input(inputs).to(network_dtype(network))
            return self._checked(network(features)).float().cpu()

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
                else "This classifier has no threshold to abstain by (its generator was not calibrated, or only for another "
                f"architecture); {give}, or generate again after `tina calibrate`, which measures the generator's default architecture."
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

    def score(self, images: Any, labels: Any) -> float:
        """Return the accuracy on labelled pictures: the share of them that is classified correctly, from 0 to 1.

        Args:
            images: the pictures, as `predict_proba` takes them.
            labels: one per picture: class names, or indices into `class_names`.

        Raises:
            DataError: there are no pictures, one is unreadable, a label is not a class, or the lengths differ.
        """
        from tina_framework.classifier.fine_tuning.labels import label_indices

        answers: list[int] = self._logits(images).argmax(dim=1).tolist()
        if not answers:
            raise DataError("There are no pictures, so there is no accuracy; give at least one.")
        truths = label_indices(labels, self.class_names, len(answers))
        return sum(answer == truth for answer, truth in zip(answers, truths, strict=True)) / len(answers)

    def topk_of(self, logits: Tensor, k: int = 3) -> list[list[tuple[str, float]]]:
        """Return what `predict_topk` returns, from logits (N, K)."""
        k = whole_number(k, "k", 1)
        probabilities = logits.softmax(dim=1).numpy()
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(self.class_names[i], float(row[i])) for i in order]
            for row, order in zip(probabilities, best, strict=True)
        ]


def _check_standardised(images: object, channels: int) -> None:
    if not isinstance(images, Tensor):
        what = f"an object of the type {type(images).__name__}"
    elif not images.is_floating_point():
        what = f"a tensor of {str(images.dtype).removeprefix('torch.')}"
    elif images.ndim != 4 or images.shape[1] != channels:
        what = f"a tensor of the shape {tuple(images.shape)}"
    else:
        return
    raise DataError(
        f"A classifier that is called takes standardised pictures, a floating-point tensor (N, {channels}, H, W), but {what} was "
        "given; "
        "call predict, which takes files, PIL images and arrays."
    )


def _device_or_dtype(value: Any) -> Any:
    """Check an argument of `to`, and return the device for the text ``auto``."""
    if isinstance(value, torch.dtype) and value not in _DTYPES:
        raise ConfigError(
            f"Weights cannot be turned into {str(value).removeprefix('torch.')}, because layers compute in floating point "
            "(float32, float16, bfloat16, float64). For 8-bit integers, export the classifier: model.export(path, format, int8=pictures)."
        )
    if isinstance(value, Tensor):  # `to` takes the device and the type of a tensor, too
        _device_or_dtype(value.dtype)
    if isinstance(value, int) and not isinstance(value, bool):
        return resolve_device(torch.device(value))
    if isinstance(value, str):
        if hasattr(torch, value) and isinstance(getattr(torch, value), torch.dtype):
            raise ConfigError(f"{shorten(value)} is a type and not a device; write to(torch.{value}).")
        return resolve_device(value)
    return value


def _json_values(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provenance as `config.json` will hold it, so that saving cannot fail after the work was done."""
    try:
        return dict(json.loads(to_json(dict(provenance))))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The provenance {shorten(provenance)} cannot be stored as JSON ({reason_of(error, 100)}); "
            "give a dictionary of numbers and texts."
        ) from error
