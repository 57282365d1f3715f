"""Pictures and labels made ready for one classifier; networks fine-tuned on them, on all or on all but some.

Shapes: N pictures, C channels, H height, W width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.classifier.fine_tuning.labels import class_slots, usual_count
from tina_framework.classifier.fine_tuning.loop import fit
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings
from tina_framework.images import pictures

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier

__all__ = ["Lesson", "OnProgress"]

OnProgress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""

_BATCH = 250


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a classifier is to learn from.

    Attributes:
        classifier: where it starts; never changed.
        inputs: (N, C, H, W) float32, prepared pictures; behind a frozen trunk its features of them, (N, *feature_shape).
        mirrored: features of the pictures mirrored left to right; None without a trunk, where flipping needs no features.
        slots: N output numbers.
        settings: how to train.
        seed: of everything random.
    """

    classifier: GeneratedClassifier
    inputs: Tensor
    mirrored: Tensor | None
    slots: Sequence[int]
    settings: FineTuneSettings
    seed: int

    @classmethod
    def prepare(
        cls,
        classifier: GeneratedClassifier,
        images: Any,
        labels: Any,
        settings: FineTuneSettings | None = None,
        seed: int = 0,
    ) -> Lesson:
        """Reads and checks everything; see `GeneratedClassifier.fine_tune` for arguments and errors."""
        pixels = pictures(images, classifier.preprocessing.size)
        slots = class_slots(labels, classifier.class_names, len(pixels))
        count = usual_count(slots, len(classifier.class_names))
        chosen = FineTuneSettings.for_pictures(count) if settings is None else settings
        inputs = _inputs(classifier, pixels)
        has_trunk = classifier.trunk is not None
        mirrored = _inputs(classifier, pixels[:, :, ::-1]) if has_trunk and chosen.flip else None
        return cls(classifier, inputs, mirrored, slots, chosen, seed)

    def with_changes(self, **changes: Any) -> Lesson:
        """The same with other settings; a change to None is none. Raises: ConfigError: a value is out of range."""
        wanted = {name: value for name, value in changes.items() if value is not None}
        return replace(self, settings=replace(self.settings, **wanted))

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each class."""
        return {name: self.slots.count(k) for k, name in enumerate(self.classifier.class_names)}

    def record(self) -> dict[str, Any]:
        """For the provenance of the result."""
        return {"pictures": self.counts, "settings": asdict(self.settings), "seed": self.seed}

    @property
    def own_settings(self) -> FineTuneSettings:
        """For the network at hand: the pull is that on the answer, in which each of an ensemble's networks has a share only."""
        members = self.classifier.members
        if members is None:
            return self.settings
        networks_a_class = sum(len(group) for group in members) / len(self.classifier.class_names)
        return replace(self.settings, pull=self.settings.pull / networks_a_class)

    def network(
        self, rows: Sequence[int] | None = None, on_progress: OnProgress = lambda done, total: None
    ) -> nn.Module:
        """A copy of the classifier's network, fine-tuned on the pictures `rows` (None: all)."""
        at = torch.tensor(range(len(self.slots)) if rows is None else list(rows), device=self.inputs.device)
        network = copy.deepcopy(self.classifier.network).requires_grad_(True)
        fit(
            network,
            self.inputs[at],
            torch.tensor(self.slots, device=self.inputs.device)[at],
            self.classifier.class_tensors,
            self.own_settings,
            seed=self.seed,
            pictures=self.classifier.trunk is None,
            mirrored=None if self.mirrored is None else self.mirrored[at],
            on_progress=on_progress,
        )
        return network.eval()

    def parts(self, number: int) -> list[list[int]]:
        """Row numbers, dealt out to `number` parts class by class, in an order drawn from the seed."""
        order = torch.randperm(len(self.slots), generator=torch.Generator().manual_seed(self.seed)).tolist()
        dealt = sorted(order, key=lambda row: self.slots[row])
        return [dealt[start::number] for start in range(number)]

    def right(self, network: nn.Module, rows: Sequence[int]) -> list[bool]:
        """Whether `network` names the pictures `rows` rightly."""
        answers: list[int] = []
        with torch.inference_mode():
            for part in self.inputs[torch.tensor(list(rows), device=self.inputs.device)].split(_BATCH):
                answers += network(part).argmax(dim=1).tolist()
        return [answer == self.slots[row] for answer, row in zip(answers, rows, strict=True)]

    def leave_out(
        self, number: int, on_progress: OnProgress = lambda done, total: None
    ) -> tuple[list[bool], list[bool]]:
        """Which pictures are named rightly before and after fine-tuning, in the same order.

        Each picture is judged by a network that was fine-tuned on the other parts (of `number`) alone.

        Args:
            number: of parts; every class needs at least two pictures, or a network would not be shown one of them.
            on_progress: over the steps of all parts.
        """
        before: list[bool] = []
        after: list[bool] = []
        steps = self.settings.steps
        for index, held in enumerate(self.parts(number)):
            kept = sorted(set(range(len(self.slots))) - set(held))
            network = self.network(kept, lambda done, total, i=index: on_progress(i * steps + done, number * steps))  # type: ignore[misc]
            before += self.right(self.classifier.network, held)
            after += self.right(network, held)
        return before, after


def _inputs(classifier: GeneratedClassifier, pixels: npt.NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) uint8 -> what the network takes, batch by batch: features are small, large pictures are not."""
    starts = range(0, len(pixels), _BATCH)
    device = classifier.device
    return torch.cat(
        [classifier.network_input(classifier.preprocessing(pixels[start : start + _BATCH], device)) for start in starts]
    )
