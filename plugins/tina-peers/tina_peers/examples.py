"""Example pictures of classes, for peers that read some. Evaluation and validation draw the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tina_framework.images import Preprocessing
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.randomness import generator_at
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.image_bank import for_architecture

__all__ = ["example_pictures"]


def example_pictures(
    dataset: Dataset, spec: ParameterSpec, names: Sequence[str], shots: int, seed: int
) -> dict[str, Tensor]:
    """Return training pictures (P, C, H, W) of each class, as the target network takes them.

    The pictures of a class depend on the seed and its name alone. Unknown classes, and those with too few pictures, are left
    out.

    Args:
        dataset: the split ``train`` is read.
        spec: the parameters of an architecture that reads pictures.
        names: the classes.
        shots: P.
        seed: seed of the draws.
    """
    data, look = for_architecture(dataset, spec.architecture).load("train"), Preprocessing.of(spec.architecture)
    found = {}
    for name in names:
        if name not in dataset.class_names:
            continue
        rows = np.flatnonzero(data.labels == dataset.class_names.index(name))
        if len(rows) < shots:
            continue
        picked = torch.randperm(len(rows), generator=generator_at(seed, "examples/" + name))
        pictures = data.images[rows[picked[:shots].numpy()]]
        found[name] = look(pictures if look.crop_pct == 1 else look.pixels(pictures), "cpu")
    return found
