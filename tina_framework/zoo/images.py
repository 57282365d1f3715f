"""A data set's images, preprocessed once and looked up by task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.spec import ParameterSpec
from tina_framework.targets.accuracy import remap_labels
from tina_framework.targets.preprocess import Preprocessor

__all__ = ["ImageBank", "load_split"]


def load_split(dataset: Dataset, split: str) -> LabelledImages:
    """One split, or several joined by ``+`` (``train+validation``, for a final refit)."""
    parts = [dataset.load(part) for part in split.split("+")]
    if len(parts) == 1:
        return parts[0]
    return LabelledImages(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))


class ImageBank:
    """All images of one split as float32, on one device.

    Attributes:
        images: (A, C, H, W).
        labels: (A,) int64.
        class_names: what the labels mean.
    """

    def __init__(self, dataset: Dataset, split: str, spec: ParameterSpec, device: torch.device | str = "cpu") -> None:
        data = load_split(dataset, split)
        self.class_names = dataset.class_names
        self.images = Preprocessor(spec.architecture, device)(data.images)
        self.labels = torch.from_numpy(data.labels.astype("int64")).to(device)
        self._number = {name: i for i, name in enumerate(dataset.class_names)}

    def labels_of(self, classes: Sequence[str]) -> list[int]:
        """Class names -> label numbers.

        Raises:
            DataError: the data set lacks a class.
        """
        missing = [name for name in classes if name not in self._number]
        if missing:
            raise DataError(f"The data set has no class '{missing[0]}'; it has {len(self._number)} others.")
        return [self._number[name] for name in classes]

    def rows(self, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(M,) which images belong to a task, and (M,) their slots 0..K-1 in the task's order.

        The images come class by class in the order of the data set, so that two tasks that share a class see its
        images in the same relative order.
        """
        indices, slots = remap_labels(self.labels, self.labels_of(classes))
        if len(indices) == 0:
            raise DataError(f"There is no image of {', '.join(classes)} in this split.")
        return indices, slots
