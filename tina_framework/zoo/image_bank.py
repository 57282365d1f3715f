"""The images of a data set, preprocessed once and looked up by task."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tina_framework.errors import DataError
from tina_framework.images import Preprocessing
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.dataset import Dataset, LabelledImages, scaled_to
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.accuracy import remap_labels
from tina_framework.targets.trunk import cached_features
from tina_framework.zoo.teacher import Teacher

__all__ = ["ImageBank", "for_architecture", "load_split"]


def for_architecture(dataset: Dataset, architecture: TargetArchitecture) -> Dataset:
    """Return the data set with pictures of the size that an architecture needs, if the data set can scale them.

    The pictures are as large as the architecture's input before it is cropped (`TargetArchitecture.crop_pct`).
    """
    width, height = Preprocessing.of(architecture).uncropped_size
    return scaled_to(dataset, height, width)


def load_split(dataset: Dataset, split: str) -> LabelledImages:
    """Load one split, or several joined by ``+``, such as ``train+validation`` for a final training run."""
    parts = [dataset.load(part) for part in split.split("+")]
    if len(parts) == 1:
        return parts[0]
    return LabelledImages(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))


class ImageBank:
    """All images of one split as the target networks take them: float32, on one device.

    Args:
        dataset: images and class names. Its pictures are read at the size of the architecture, if it can scale them.
        split: which images, e.g. ``train``.
        spec: its architecture says how images are preprocessed.
        device: where the images are kept.
        on_progress: called with (stage, images done, images) while a frozen trunk computes features. The stages are
            ``features`` and ``mirrored features``.
        teacher: the table of a teacher that was made from this split.
        unseen: classes of the data set that the teacher may lack.

    Attributes:
        images: (A, C, H, W). For an architecture with a frozen trunk these are its features, (A, *feature_shape).
        labels: (A,) int64.
        class_names: the name of each label.
        teacher: (2, A, K) float16 logits of a teacher, of the images and of the mirrored images; None without a teacher.

    Raises:
        DataError: the teacher's table was made from other pictures.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        spec: ParameterSpec,
        device: torch.device | str = "cpu",
        on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
        teacher: Teacher | None = None,
        unseen: Sequence[str] = (),
    ) -> None:
        data = load_split(for_architecture(dataset, spec.architecture), split)
        self.class_names = dataset.class_names
        self._mirrored: Callable[[], Tensor] | None = None
        if spec.architecture.trunk is None:
            look = Preprocessing.of(spec.architecture)
            # Pictures are scaled only if they must be cropped anyway. Otherwise those of another size are refused.
            self.images = look(data.images if look.crop_pct == 1 else look.pixels(data.images), device)
        else:
            compute = functools.partial(cached_features, spec.architecture, data.images, device=device)
            self.images = compute(on_progress=functools.partial(on_progress, "features"))
            # Flipping features is not the same as the features of flipped pictures, so these are computed separately.
            self._mirrored = functools.partial(
                compute, mirrored=True, on_progress=functools.partial(on_progress, "mirrored features")
            )
        self.labels = torch.from_numpy(data.labels.astype("int64")).to(device)
        self.teacher: Tensor | None = None
        if teacher is not None:
            self.teacher = teacher.of_pictures(data, dataset.class_names, unseen).to(device)

    @classmethod
    def from_contents(cls, class_names: Sequence[str], contents: Mapping[str, Tensor]) -> Self:
        """Make a bank from what `contents` of another one returned, without reading a data set."""
        bank = cls.__new__(cls)
        bank.class_names = tuple(class_names)
        bank.images, bank.labels = contents["images"], contents["labels"]
        mirrored = contents.get("mirrored")
        bank._mirrored = None if mirrored is None else lambda: mirrored
        bank.teacher = contents.get("teacher")
        return bank

    def contents(self) -> dict[str, Tensor]:
        """Return all tensors of the bank, for `from_contents`. Mirrored features are computed now, if there are any."""
        found = {"images": self.images, "labels": self.labels}
        optional = {"mirrored": self.mirrored, "teacher": self.teacher}
        return found | {name: tensor for name, tensor in optional.items() if tensor is not None}

    @cached_property
    def _number(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.class_names)}

    @cached_property
    def mirrored(self) -> Tensor | None:
        """`images` of the pictures mirrored left to right, computed when first needed.

        None: flip the last axis of `images`.
        """
        return None if self._mirrored is None else self._mirrored()

    def mirrored_rows(self, rows: Tensor) -> Tensor | None:
        """Return `mirrored` at the given (M,) indices; None if there is none."""
        return None if self.mirrored is None else self.mirrored[rows]

    def teacher_rows(self, rows: Tensor, labels: Sequence[int]) -> Tensor | None:
        """Return the teacher's logits (2, M, K) of the images at the given indices, for classes; None without a teacher.

        Args:
            rows: (M,) indices of `images`.
            labels: K label numbers.
        """
        return None if self.teacher is None else self.teacher[:, rows][:, :, list(labels)]

    def labels_of(self, classes: Sequence[str]) -> list[int]:
        """Return the label number of each class name.

        Raises:
            DataError: the data set lacks a class.
        """
        missing = [name for name in classes if name not in self._number]
        if missing:
            raise DataError(f"The data set has no class '{missing[0]}'; it has {len(self._number)} others.")
        return [self._number[name] for name in classes]

    def rows(self, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return which images belong to a task, and the slot of each.

        The images come class by class in the order of the data set. Two tasks that share a class thus see its images
        in the same relative order.

        Returns:
            (M,) indices of `images`, and (M,) slots 0..K-1: the place of each image's class in the task.

        Raises:
            DataError: the data set lacks a class, or this split has no image of the task.
        """
        indices, slots = remap_labels(self.labels, self.labels_of(classes))
        if len(indices) == 0:
            raise DataError(f"There is no image of {', '.join(classes)} in this split.")
        return indices, slots
