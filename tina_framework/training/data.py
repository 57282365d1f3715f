"""What training draws from: images by class, and condition vectors by class.

Shapes: B tasks, M images a task, K classes, V templates, E condition width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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
from tina_framework.zoo.image_bank import ImageBank, load_split

__all__ = ["ConditionBank", "TrainingImages"]


class TrainingImages(ImageBank):
    """The images that generated networks are tried on, drawn class by class.

    Args:
        dataset: images and class names.
        split: which of them, e.g. ``train``.
        spec: whose preprocessing to apply.
        device: where the images lie.
        dtype: what they are kept in; bfloat16 saves converting every batch where the networks run in it (and changes nothing where
            their first layer multiplies, which autocast would round the images for).

    Attributes:
        fingerprint: hash of images, labels and class names.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        spec: ParameterSpec,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(dataset, split, spec, device)
        # Mirror images are kept, not made: flipping a batch costs a tenth of what running networks on it does.
        pictures = self.images.to(dtype)
        mirrored = pictures.flip(-1) if self.mirrored is None else self.mirrored.to(dtype)
        self._both = torch.cat([pictures, mirrored])
        self.images = self._both[: len(pictures)]
        data = load_split(dataset, split)
        self._rows = [torch.from_numpy(np.flatnonzero(data.labels == i)) for i in range(len(self.class_names))]
        digest = hashlib.sha256(np.ascontiguousarray(data.images).data)
        digest.update(np.ascontiguousarray(data.labels).data)
        digest.update("\n".join(self.class_names).encode())
        self.fingerprint = digest.hexdigest()

    def indices_of(self, name: str) -> Tensor:
        """(n,) indices of a class's images.

        Raises:
            DataError: there is no such class, or it has no image.
        """
        rows = self._rows[self.labels_of([name])[0]]
        if not len(rows):
            raise DataError(f"There is no image of the class '{name}' to train on.")
        return rows

    def take(self, rows: Tensor, flips: Tensor) -> Tensor:
        """(M,) indices and (M,) bool, whether to mirror -> (M, C, H, W), or (M, *feature_shape) behind a trunk."""
        return self._both[(rows + len(self.images) * flips).to(self._both.device)]

    def draw(self, classes: Sequence[str], number: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Which images a task gets: the classes balanced, half of the images mirrored.

        Returns:
            (M,) indices for `take`, (M,) bool flips, and (M,) slots: the place of the image's class in `classes`.
        """
        count = len(classes)
        # M is seldom a multiple of K: who gets one image more is drawn, too.
        slots = torch.arange(count).repeat(number // count)
        slots = torch.cat([slots, torch.randperm(count, generator=generator)[: number % count]])
        places = torch.rand(number, generator=generator, dtype=torch.float64)
        flips = torch.rand(number, generator=generator) < 0.5
        rows = torch.empty(number, dtype=torch.int64)
        for slot, name in enumerate(classes):
            mine, own = slots == slot, self.indices_of(name)
            rows[mine] = own[(places[mine] * len(own)).long()]
        return rows, flips, slots


class ConditionBank:
    """The condition vectors of every class under every encoder and template.

    Args:
        class_names: of the data set.
        encoders: their specs, all of one space and width.
        fit_on: the classes that the condition space is fitted on (those that may be trained on).

    Attributes:
        unit_VKE: unit vectors, (V, K, E) float32.
        space: maps raw vectors to conditions.
        templates: V names, ``encoder: template``.
        fingerprint: hash of the vectors.
    """

    def __init__(self, class_names: Sequence[str], encoders: Sequence[str], fit_on: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self._number = {name: i for i, name in enumerate(class_names)}
        made = [registries().encoders.create(spec) for spec in encoders]
        spaces = {(encoder.space, encoder.dim) for encoder in made}
        if len(spaces) != 1:
            listed = ", ".join(f"{e.name} ({e.space}, {e.dim} wide)" for e in made)
            raise ConfigError(f"The encoders are of different spaces: {listed}. Train on encoders of one space.")
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
        """Width of what the denoiser reads."""
        return self.space.input_dim

    def raw(self, classes: Sequence[str], template: int = 0) -> npt.NDArray[np.float32]:
        """(K, E) unit vectors with one template, as an encoder would give them."""
        vectors: npt.NDArray[np.float32] = self.unit_VKE[template, self._numbers(classes)].numpy()
        return vectors

    def of(self, classes: Sequence[str], template: int = 0) -> Tensor:
        """(K, `width`) what the denoiser reads of one template, without noise."""
        return self.space.denoiser_input(self.raw(classes, template))

    def enable_row_retrieval(self, seen: Sequence[str], rows_SD: Tensor) -> None:
        """From here on the denoiser also reads what the rows of the classes `seen` say; see `tina_framework.prompts.row_retrieval`."""
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
        left_out: Sequence[int] = (),
        unseen_class_noise: float = 0.0,
    ) -> Tensor:
        """(K, `width`) what the denoiser reads of one training task, drawn class by class.

        Args:
            mixing: half of the classes get one template, the others a random convex combination; else always one.
            noise: standard deviation of the noise's length, relative to the vector's length.
            left_out: places in `classes` of those that are not to be recalled, as if they had never been seen.
            unseen_class_noise: `noise` of these.
        """
        numbers, templates = self._numbers(classes), self.unit_VKE.shape[0]
        one = torch.zeros(len(numbers), templates)
        picked = torch.randint(templates, (len(numbers), 1), generator=generator)
        one.scatter_(1, picked, 1.0)
        # Exponential variables over their sum are uniform on the simplex.
        shares = -torch.log1p(-torch.rand(len(numbers), templates, generator=generator))
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-12)
        mixed = torch.rand(len(numbers), 1, generator=generator) < 0.5
        weights = torch.where(mixed, shares, one) if mixing else one
        conditions = self.space.apply(torch.einsum("kv,vke->ke", weights, self.unit_VKE[:, numbers]).numpy())
        gaussian = torch.randn(conditions.shape, generator=generator)
        if noise or (left_out and unseen_class_noise):
            lengths = conditions.norm(dim=1, keepdim=True) / conditions.shape[1] ** 0.5
            lengths = (
                lengths
                * torch.tensor([unseen_class_noise if k in left_out else noise for k in range(len(classes))])[:, None]
            )
            conditions = conditions + lengths * gaussian
        retrieval = self.space.row_retrieval
        if retrieval is None:
            return conditions
        mask = torch.zeros(len(classes), len(retrieval.keys_SE), dtype=torch.bool)
        mask[:, [self._key[classes[k]] for k in left_out]] = True
        return retrieval.append_rows(conditions, mask)

    def _numbers(self, classes: Sequence[str]) -> list[int]:
        return [self._number[name] for name in classes]
