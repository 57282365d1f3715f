"""The data that training draws from: images of each class, and conditioning vectors of each class.

Shapes: M images per task, K classes, V templates, E embedding width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tina_framework.errors import ConfigError, DataError
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.row_retrieval import RowRetrieval
from tina_framework.zoo.image_bank import ImageBank, for_architecture, load_split
from tina_framework.zoo.teacher import Teacher

__all__ = ["ConditionBank", "TrainingImages"]


class TrainingImages(ImageBank):
    """Training images, drawn in equal numbers for each class of a task.

    Args:
        dataset: images and class names.
        split: the split to draw from, for example ``train``.
        spec: parameters of the architecture whose preprocessing is applied.
        device: where the images are kept.
        dtype: type in which they are kept. Where networks run in bfloat16, bfloat16 saves converting every batch. Results
            do not change, because autocast rounds the input of the first layer anyway.
        teacher: the table of a teacher that was made from this split.
        unseen: classes of the data set that the teacher may lack, because they are never drawn.

    Attributes:
        fingerprint: hash of the images, the labels and the class names.
        taught_by: what the teacher is, or None without a teacher.
        teacher_sha256: that of the teacher's table.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        spec: ParameterSpec,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        teacher: Teacher | None = None,
        unseen: Sequence[str] = (),
    ) -> None:
        super().__init__(dataset, split, spec, device, teacher=teacher, unseen=unseen)
        self.taught_by = None if teacher is None else teacher.taught_by
        self.teacher_sha256 = "" if teacher is None else teacher.sha256
        # Mirrored images are stored, because flipping every batch costs a tenth of the time of running networks on it.
        pictures = self.images.to(dtype)
        mirrored = pictures.flip(-1) if self.mirrored is None else self.mirrored.to(dtype)
        self._both = torch.cat([pictures, mirrored])
        self.images = self._both[: len(pictures)]
        data = load_split(for_architecture(dataset, spec.architecture), split)
        digest = hashlib.sha256(np.ascontiguousarray(data.images).data)
        digest.update(np.ascontiguousarray(data.labels).data)
        digest.update("\n".join(self.class_names).encode())
        self.fingerprint = digest.hexdigest()

    @classmethod
    def from_contents(
        cls,
        class_names: Sequence[str],
        contents: Mapping[str, Tensor],
        fingerprint: str = "",
        taught_by: str | None = None,
        teacher_sha256: str = "",
    ) -> Self:
        """Make training images from what `contents` of others returned, without reading a data set."""
        images = super().from_contents(class_names, {**contents, "images": contents["both"]})
        images._both = contents["both"]
        images.images = images._both[: len(images.labels)]
        images.fingerprint = fingerprint
        images.taught_by, images.teacher_sha256 = taught_by, teacher_sha256
        return images

    def contents(self) -> dict[str, Tensor]:
        """Return the images followed by the mirrored ones, the labels and the teacher's logits, for `from_contents`."""
        found = {"both": self._both, "labels": self.labels}
        return found if self.teacher is None else {**found, "teacher": self.teacher}

    @cached_property
    def _by_class(self) -> tuple[Tensor, Tensor, Tensor]:
        """The indices of all images, class after class, and for each class their number and where they start."""
        labels = self.labels.cpu().long()
        number = torch.bincount(labels, minlength=len(self.class_names))
        return torch.argsort(labels, stable=True), number, number.cumsum(0) - number

    def indices_of(self, name: str) -> Tensor:
        """Return (n,) indices of the images of a class.

        Raises:
            DataError: the class does not exist, or has no image.
        """
        (label,) = self._labels_with_images([name])
        indices, number, start = self._by_class
        return indices[start[label] : start[label] + number[label]]

    def _labels_with_images(self, names: Sequence[str]) -> list[int]:
        labels = self.labels_of(names)
        for name, label in zip(names, labels, strict=True):
            if not self._by_class[1][label]:
                raise DataError(f"The class '{name}' has no image to train on; add some, or hold the class out.")
        return labels

    def take(self, indices: Tensor, flips: Tensor) -> Tensor:
        """Return the images (M, C, H, W), or their features (M, *feature_shape) if the architecture has a trunk.

        Args:
            indices: (M,) from `draw`.
            flips: (M,) bool, whether to mirror.
        """
        return self.at(self.places(indices, flips).to(self._both.device))

    def places(self, indices: Tensor, flips: Tensor) -> Tensor:
        """Return where `at` finds the images that `take` returns: (M,) int64."""
        return indices + len(self.images) * flips

    def at(self, places: Tensor) -> Tensor:
        """Return the images at `places`, which must be on the device of the images."""
        return self._both.index_select(0, places)  # copies whole images, unlike indexing

    def teacher_at(self, places_BM: Tensor, labels_BK: Tensor | None) -> Tensor | None:
        """Return the teacher's logits (B, M, K) of the images at `places_BM` (see `at`), or None without a teacher.

        Args:
            places_BM: (B, M) for B tasks, on the device of the images.
            labels_BK: (B, K) label numbers of each task's classes, on the same device. None: without a teacher.
        """
        if self.teacher is None or labels_BK is None:
            return None
        # Rows first: a look-up of both at once would be ten times as slow, because it reads single numbers.
        rows_BMC = self.teacher.flatten(0, 1).index_select(0, places_BM.flatten()).view(*places_BM.shape, -1)
        return rows_BMC.gather(2, labels_BK[:, None].expand(-1, places_BM.shape[1], -1))

    def draw(self, classes: Sequence[str], number: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw images for a task: equally many of each class, half of them mirrored.

        Returns:
            (M,) indices for `take`, (M,) bool flips, and (M,) labels: the place of the image's class in `classes`.
        """
        count = len(classes)
        # M is rarely a multiple of K, so the classes that get one image more are drawn at random.
        slots = torch.arange(count).repeat(number // count)
        slots = torch.cat([slots, torch.randperm(count, generator=generator)[: number % count]])
        places = torch.rand(number, generator=generator, dtype=torch.float64)
        flips = torch.rand(number, generator=generator) < 0.5
        label_of_image = torch.tensor(self._labels_with_images(classes))[slots]
        indices, number_of, start = self._by_class
        offsets = (places * number_of[label_of_image]).long()
        return indices[start[label_of_image] + offsets], flips, slots


class ConditionBank:
    """The text vectors of all classes, with every encoder and template, and the conditioning vectors made of them.

    Args:
        class_names: class names of the data set.
        encoders: specs of text encoders, all of one embedding space.
        fit_on: the classes to fit the condition space on, which are those that training may use.

    Attributes:
        unit_VKE: (V, K, E) float32 text vectors of unit length.
        space: maps text vectors to conditioning vectors.
        templates: V names, ``encoder: template``.
        fingerprint: hash of the text vectors.

    Raises:
        ConfigError: the encoders have different embedding spaces.
    """

    def __init__(self, class_names: Sequence[str], encoders: Sequence[str], fit_on: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self._number = {name: i for i, name in enumerate(class_names)}
        made = [registries().encoders.create(spec) for spec in encoders]
        spaces = {(encoder.space, encoder.dim) for encoder in made}
        if len(spaces) != 1:
            listed = ", ".join(f"{e.name} ({e.space}, {e.dim} wide)" for e in made)
            raise ConfigError(f"The encoders have different embedding spaces: {listed}. Use encoders of one space.")
        raw: list[npt.NDArray[np.float32]] = []
        self.templates: list[str] = []
        for encoder in made:
            for number, template in enumerate(encoder.templates):
                raw.append(np.asarray(encoder.encode_text(list(class_names), template=number), dtype=np.float32))
                self.templates.append(f"{encoder.name}: {template}")
        raw_VKE = np.stack(raw)
        known = [self._number[name] for name in fit_on]
        self.encoders = [str(encoder.name) for encoder in made]
        self.space = ConditionSpace.fit(made[0].space, raw_VKE[:, known].reshape(-1, raw_VKE.shape[-1]))
        self._key: dict[str, int] = {}
        vectors = torch.from_numpy(raw_VKE)
        self.unit_VKE = vectors / vectors.norm(dim=-1, keepdim=True)
        self.fingerprint = hashlib.sha256(raw_VKE.tobytes()).hexdigest()

    @property
    def width(self) -> int:
        """Width of a conditioning vector as the denoiser reads it."""
        return self.space.input_dim

    def raw(self, classes: Sequence[str], template: int = 0) -> npt.NDArray[np.float32]:
        """Return (K, E) unit text vectors of one template."""
        vectors: npt.NDArray[np.float32] = self.unit_VKE[template, self._numbers(classes)].numpy()
        return vectors

    def of(self, classes: Sequence[str], template: int = 0) -> Tensor:
        """Return (K, `width`) conditioning vectors of one template, without noise."""
        return self.space.denoiser_input(self.raw(classes, template))

    def enable_row_retrieval(self, seen: Sequence[str], rows_SD: Tensor) -> None:
        """From now on, append retrieved rows to conditioning vectors; see `tina_framework.prompts.row_retrieval`.

        Args:
            seen: S classes of the generic model.
            rows_SD: (S, D) their weight rows, as normalised tokens.
        """
        keys = torch.stack([self.space.apply(self.raw(seen, template)) for template in range(len(self.templates))])
        self.space.row_retrieval = RowRetrieval(keys.mean(dim=0), rows_SD)
        self._key = {name: s for s, name in enumerate(seen)}

    def draw(
        self,
        classes: Sequence[str],
        generator: torch.Generator,
        *,
        mixing: bool,
        noise: float,
        unseen: Sequence[int] = (),
        unseen_noise: float = 0.0,
    ) -> Tensor:
        """Draw (K, `width`) conditioning vectors of one training task, independently for each class.

        Args:
            classes: K class names.
            generator: the source of all random draws.
            mixing: give half of the classes a random convex combination of all templates, and the others one template.
            noise: root mean square length of the noise, relative to the vector's length.
            unseen: places in `classes` to treat as unseen: their rows help no class of this task.
            unseen_noise: `noise` of these classes.
        """
        numbers, templates = self._numbers(classes), self.unit_VKE.shape[0]
        one = torch.zeros(len(numbers), templates)
        picked = torch.randint(templates, (len(numbers), 1), generator=generator)
        one.scatter_(1, picked, 1.0)
        # Exponential variables divided by their sum are uniform on the simplex, that is, Dirichlet(1, ..., 1). One draw in 16
        # million is exactly 0. With one template, a share of 0 would make the class's vector 0.
        shares = -torch.log1p(-torch.rand(len(numbers), templates, generator=generator)).clamp(min=1e-9)
        shares = shares / shares.sum(dim=1, keepdim=True)
        mixed = torch.rand(len(numbers), 1, generator=generator) < 0.5
        weights = torch.where(mixed, shares, one) if mixing else one
        conditions = self.space.apply(torch.einsum("kv,vke->ke", weights, self.unit_VKE[:, numbers]).numpy())
        gaussian = torch.randn(conditions.shape, generator=generator)
        # The noise is drawn above in any case, so that these settings do not change the other draws.
        if noise or (unseen and unseen_noise):
            lengths = conditions.norm(dim=1, keepdim=True) / conditions.shape[1] ** 0.5
            relative = torch.tensor([unseen_noise if k in unseen else noise for k in range(len(classes))])
            conditions = conditions + lengths * relative[:, None] * gaussian
        retrieval = self.space.row_retrieval
        if retrieval is None:
            return conditions
        mask = torch.zeros(len(classes), len(retrieval.keys_SE), dtype=torch.bool)
        mask[:, [self._key[classes[k]] for k in unseen]] = True
        return retrieval.append_rows(conditions, mask)

    def _numbers(self, classes: Sequence[str]) -> list[int]:
        return [self._number[name] for name in classes]
