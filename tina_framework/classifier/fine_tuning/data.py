"""Prepare labelled pictures for fine-tuning one classifier, fine-tune on all of them, and cross-validate.

Shapes: N pictures, C channels, H height, W width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.classifier.fine_tuning.head import Head, find_head, fit_head
from tina_framework.classifier.fine_tuning.labels import class_indices, median_count
from tina_framework.classifier.fine_tuning.loop import fit
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings, HeadSettings
from tina_framework.classifier.predictor import network_dtype
from tina_framework.errors import ConfigError, shorten
from tina_framework.interfaces.whole_numbers import check_seed

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier

__all__ = ["FineTuneData", "OnProgress", "classifier_head"]

OnProgress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""

_BATCH = 250


@dataclass(frozen=True, eq=False)
class FineTuneData:
    """The pictures, labels and settings with which one classifier is fine-tuned.

    Attributes:
        classifier: the classifier to start from; it is never changed.
        inputs: (N, C, H, W) float32 prepared pictures, or (N, *feature_shape) features if the architecture has a frozen trunk.
        mirrored: the features of the pictures mirrored left to right; None without a trunk, where inputs are mirrored directly.
        labels: N class indices.
        settings: how to fine-tune. `HeadSettings` are for a linear or cosine head on a frozen trunk.
        seed: of the order of the pictures, the augmentation and the division into folds.
    """

    classifier: GeneratedClassifier
    inputs: Tensor
    mirrored: Tensor | None
    labels: Sequence[int]
    settings: FineTuneSettings | HeadSettings
    seed: int

    @classmethod
    def prepare(
        cls,
        classifier: GeneratedClassifier,
        images: Any,
        labels: Any,
        settings: FineTuneSettings | HeadSettings | None = None,
        seed: int = 0,
        changes: Mapping[str, Any] | None = None,
    ) -> FineTuneData:
        """Read and check pictures and labels. Arguments and errors are those of `GeneratedClassifier.fine_tune`.

        Args:
            changes: values of `FineTuneSettings` to replace in its defaults; None keeps a value. Any value chooses its method.
        """
        if settings is not None and not isinstance(settings, FineTuneSettings | HeadSettings):
            raise ConfigError(f"settings is {shorten(settings)}; give FineTuneSettings(steps=..., lr=...).")
        wanted = {name: value for name, value in (changes or {}).items() if value is not None}
        head = classifier_head(classifier)
        if isinstance(settings, HeadSettings) and head is None:
            raise ConfigError(
                f"settings is {shorten(settings)}, but a classifier of '{classifier.architecture}' is no linear or cosine head "
                "with a bias on a frozen trunk; give FineTuneSettings(steps=..., lr=...)."
            )
        by_regression = isinstance(settings, HeadSettings) or (settings is None and head is not None and not wanted)
        pixels = classifier.preprocessing.pixels(images)
        indices = class_indices(labels, classifier.class_names, len(pixels), some_absent=by_regression)
        chosen: FineTuneSettings | HeadSettings
        if settings is not None:
            chosen = settings
        elif by_regression:
            chosen = HeadSettings()
        else:
            chosen = FineTuneSettings.for_pictures(median_count(indices, len(classifier.class_names)))
        chosen = replace(chosen, **wanted)
        flip = classifier.trunk is not None and isinstance(chosen, FineTuneSettings) and chosen.flip
        # The caller may be in inference mode, but tensors made in that mode can never be trained on.
        with torch.inference_mode(False):
            inputs = _inputs(classifier, pixels)
            # A mirrored picture has features of its own. Flipping the features of the picture does not give them.
            mirrored = _inputs(classifier, pixels[:, :, ::-1]) if flip else None
        return cls(classifier, inputs, mirrored, indices, chosen, check_seed(seed))

    @property
    def counts(self) -> dict[str, int]:
        """The number of pictures of each class, by class name."""
        return {name: self.labels.count(k) for k, name in enumerate(self.classifier.class_names)}

    def record(self) -> dict[str, Any]:
        """Return what the provenance of a fine-tuned classifier says about this data."""
        return {"pictures": self.counts, "settings": asdict(self.settings), "seed": self.seed}

    def network_settings(self, settings: FineTuneSettings) -> FineTuneSettings:
        """Return the settings for the network at hand, which may be an ensemble.

        An ensemble averages its members, so the gradient that reaches one member is smaller than that of a single network. The
        pull towards the start is divided by the number of members a class has, to keep the same balance.
        """
        members = self.classifier.members
        if members is None:
            return settings
        members_per_class = sum(len(group) for group in members) / len(self.classifier.class_names)
        return replace(settings, pull=settings.pull / members_per_class)

    def train(self, rows: Sequence[int] | None = None, on_progress: OnProgress = lambda done, total: None) -> nn.Module:
        """Return a copy of the classifier's network, fine-tuned on the pictures `rows` (None: all)."""
        # Training needs gradients, also if the caller has switched them off.
        with torch.inference_mode(False), torch.enable_grad():
            at = torch.tensor(range(len(self.labels)) if rows is None else list(rows), device=self.inputs.device)
            network = copy.deepcopy(self.classifier.network).requires_grad_(True)
            stored = network_dtype(network)
            # Half precision has too few digits for the small steps of training.
            computed = torch.float64 if stored == torch.float64 else torch.float32
            network = network.to(computed)
            targets = torch.tensor(self.labels, device=self.inputs.device)[at]
            if isinstance(self.settings, HeadSettings):
                head = classifier_head(self.classifier)
                assert head is not None, "`prepare` checked it"
                fit_head(network, head, self.inputs[at], targets, self.settings, on_progress)
                return network.to(stored).eval()
            fit(
                network,
                self.inputs[at].to(computed),
                targets,
                self.classifier.class_tensors,
                self.network_settings(self.settings),
                seed=self.seed,
                pictures=self.classifier.trunk is None,
                mirrored=None if self.mirrored is None else self.mirrored[at].to(computed),
                on_progress=on_progress,
            )
            return network.to(stored).eval()

    def folds(self, number: int) -> list[list[int]]:
        """Return the row numbers divided into stratified folds, in an order drawn from the seed."""
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(self.seed)).tolist()
        by_class = sorted(order, key=lambda row: self.labels[row])
        # Every number-th row of a list sorted by class: each fold gets its share of every class.
        return [by_class[start::number] for start in range(number)]

    def correct(self, network: nn.Module, rows: Sequence[int]) -> list[bool]:
        """Return whether `network` classifies each of the pictures `rows` correctly."""
        answers: list[int] = []
        with torch.inference_mode():
            for part in self.inputs[torch.tensor(list(rows), device=self.inputs.device)].split(_BATCH):
                answers += network(part.to(network_dtype(network))).argmax(dim=1).tolist()
        return [answer == self.labels[row] for answer, row in zip(answers, rows, strict=True)]

    def cross_validate(
        self, number: int, on_progress: OnProgress = lambda done, total: None
    ) -> tuple[list[bool], list[bool]]:
        """Return which pictures are classified correctly before and after fine-tuning, in the same order.

        Each picture is classified by a network that was fine-tuned on the other folds alone.

        Args:
            number: of folds. Every class needs at least two pictures, or some network is trained without that class.
            on_progress: called over the steps of all folds.
        """
        before: list[bool] = []
        after: list[bool] = []
        steps = self.settings.steps
        for index, held_out in enumerate(self.folds(number)):
            others = sorted(set(range(len(self.labels))) - set(held_out))
            network = self.train(others, lambda done, total, i=index: on_progress(i * steps + done, number * steps))  # type: ignore[misc]
            before += self.correct(self.classifier.network, held_out)
            after += self.correct(network, held_out)
        return before, after


def classifier_head(classifier: GeneratedClassifier) -> Head | None:
    """Return the form of the classifier's network if it is one linear or cosine head on a frozen trunk, else None."""
    if classifier.trunk is None or classifier.members is not None or len(classifier.trunk.feature_shape) != 1:
        return None
    network = classifier.network
    if network_dtype(network) != torch.float32:  # the form is found by computing, which needs digits
        network = copy.deepcopy(network).float()
    return find_head(network, classifier.class_tensors)


def _inputs(classifier: GeneratedClassifier, pixels: npt.NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) uint8 -> what the network takes. In batches, because large pictures behind a trunk need much memory."""
    starts = range(0, len(pixels), _BATCH)
    device = classifier.device
    return torch.cat(
        [classifier.network_input(classifier.preprocessing(pixels[start : start + _BATCH], device)) for start in starts]
    )
