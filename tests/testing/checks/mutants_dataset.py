"""Data sets, each broken in one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tina_framework.errors import DataError

__all__ = ["MUTANTS", "Sound"]


@dataclass
class Part:
    """Images and labels, not looked at, unlike `LabelledImages`."""

    images: Any
    labels: Any


class Sound:
    """Nothing wrong with it; the mutants change one thing each."""

    name = "sound"
    class_names: tuple[Any, ...] = ("red thing", "blue thing", "oak tree")
    superclasses: Any = (0, 0, 1)
    splits = ("train", "validation", "test")

    def load(self, split: str) -> Any:
        if split not in self.splits:
            raise DataError(f"There is no split '{split}'.")
        images = np.random.default_rng(len(split)).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
        return Part(images, np.tile(np.arange(3), 3))


class Loading(Sound):
    """What it loads goes through `after`."""

    def load(self, split: str) -> Any:
        part = super().load(split)
        return Part(*self.after(part.images, part.labels, split))

    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return images, labels


class NamesAClassTwice(Sound):
    class_names = ("red thing", "oak tree", "oak tree")


class EmptyClassName(Sound):
    class_names = ("red thing", "", "oak tree")


class UnreadableName(Sound):
    class_names = ("red thing", "blue thing", "Oak_tree")


class OneSuperclassShort(Sound):
    superclasses = (0, 1)


class EmptyValidation(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return (images[:0], labels[:0]) if split == "validation" else (images, labels)


class LacksValidation(Sound):
    splits = ("train", "test")


class FloatImages(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return images.astype(np.float32), labels


class ChannelsFirst(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return images.transpose(0, 3, 1, 2), labels


class LargerTestImages(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return (images.repeat(2, axis=1) if split == "test" else images), labels


class LabelsFromOne(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return images, labels + 1


class LabelsAsInt32(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return images, labels.astype(np.int32)


class AClassWithoutImages(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        return images, labels.clip(max=1)


class ValidatesOnTrainingImages(Sound):
    def load(self, split: str) -> Any:
        part = super().load(split)
        if split == "validation":
            part.images[:2] = super().load("train").images[4:6]
        return part


class Shuffles(Loading):
    def after(self, images: Any, labels: Any, split: str) -> tuple[Any, Any]:
        order = np.random.permutation(len(labels))
        return images[order], labels[order]


class DividesAnewEachTime(Sound):
    """The same instance always says the same; another one says something else."""

    def __init__(self) -> None:
        self.order = np.random.permutation(9)

    def load(self, split: str) -> Any:
        part = super().load(split)
        return Part(part.images[self.order], part.labels)


class Scaling(Sound):
    """Says that it can scale its pictures, and does it correctly."""

    def scaled_to(self, height: int, width: int) -> Any:
        return Scaled()


class Scaled(Sound):
    height = 20

    def load(self, split: str) -> Any:
        part = super().load(split)
        return Part(np.zeros((len(part.labels), self.height, 24, 3), dtype=np.uint8), part.labels)


class ScaledToAnotherHeight(Sound):
    def scaled_to(self, height: int, width: int) -> Any:
        other = Scaled()
        other.height = 24
        return other


class ScaledInAnotherOrder(Sound):
    def scaled_to(self, height: int, width: int) -> Any:
        class Reversed(Scaled):
            def load(self, split: str) -> Any:
                part = super().load(split)
                return Part(part.images, part.labels[::-1])

        return Reversed()


class CannotScale(Sound):
    def scaled_to(self, height: int, width: int) -> Any:
        raise KeyError(height)


class AnySplitWillDo(Sound):
    def load(self, split: str) -> Any:
        return super().load(split if split in self.splits else "train")


class KeyErrorForSplits(Sound):
    def load(self, split: str) -> Any:
        return {name: super(KeyErrorForSplits, self).load(name) for name in self.splits}[split]


MUTANTS = [
    (NamesAClassTwice(), "check_class_names"),
    (EmptyClassName(), "check_class_names"),
    (UnreadableName(), "check_class_names"),
    (OneSuperclassShort(), "check_superclasses"),
    (EmptyValidation(), "check_splits"),
    (LacksValidation(), "check_splits"),
    (FloatImages(), "check_images"),
    (ChannelsFirst(), "check_images"),
    (LargerTestImages(), "check_images"),
    (LabelsFromOne(), "check_labels"),
    (LabelsAsInt32(), "check_labels"),
    (AClassWithoutImages(), "check_every_class_has_images"),
    (ValidatesOnTrainingImages(), "check_splits_are_disjoint"),
    (Shuffles(), "check_deterministic"),
    (DividesAnewEachTime, "check_deterministic"),
    (ScaledToAnotherHeight(), "check_scaled"),
    (ScaledInAnotherOrder(), "check_scaled"),
    (CannotScale(), "check_scaled"),
    (AnySplitWillDo(), "check_unknown_split"),
    (KeyErrorForSplits(), "check_unknown_split"),
]
