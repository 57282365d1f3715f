"""Everything that names photographs without having seen one of their classes: the generator, and the baselines of its tables.

Shapes: K classes, N photographs, M = 1,000 labels, E width of text vectors, D = 1,280 features.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from photo_tables.closed_form import Fit
from photo_tables.tasks import Logits, Task
from photo_tables.vocabulary import unit
from tina_framework import Generator
from tina_framework.errors import PromptWarning

__all__ = [
    "RandomVectors",
    "Texts",
    "Truth",
    "by_cosine",
    "by_generator",
    "by_own_answer",
    "by_random_vectors",
    "warned",
]

Array = npt.NDArray[np.float32]

_ANSWERS = 10


@dataclass(frozen=True, eq=False)
class Truth:
    """The frozen network's own 1,000-way layer.

    Attributes:
        weight_MD: its rows.
        bias_M: its biases.
    """

    weight_MD: Tensor
    bias_M: Tensor

    @property
    def rows_MD(self) -> Array:
        """The rows without their mean, which says nothing about a class."""
        centred: Array = (self.weight_MD - self.weight_MD.mean(dim=0)).numpy()
        return centred


@dataclass(frozen=True, eq=False)
class Texts:
    """Vectors of ImageNet's labels and of prompts: the same encoder, the same mean subtracted, length 1.

    Attributes:
        labels_ME: of the labels.
        prompts_KE: of the classes.
    """

    labels_ME: Array
    prompts_KE: Array

    @classmethod
    def centred(cls, labels_ME: Array, prompts_KE: Array) -> Texts:
        """Subtract the mean of the labels' vectors from both."""
        mean = unit(labels_ME).mean(axis=0)
        return cls(unit(unit(labels_ME) - mean), unit(unit(prompts_KE) - mean))

    def fitted(self, fit: Fit, truth: Truth, left_out_M: npt.NDArray[np.bool_] | None = None) -> Tensor:
        """Return the rows (K, D) that a baseline gives the classes, fitted without some of the labels."""
        kept = slice(None) if left_out_M is None else ~left_out_M
        return torch.from_numpy(fit(self.labels_ME[kept], truth.rows_MD[kept], self.prompts_KE))


def by_cosine(rows_KD: Tensor, centre_D: Tensor | None = None) -> Logits:
    """Return the method that answers with the row of the greatest cosine.

    Args:
        rows_KD: one row for each class.
        centre_D: subtracted from the features first.
    """
    rows_KD = F.normalize(rows_KD, dim=1)

    def method(task: Task, features_ND: Tensor) -> Tensor:
        centred = features_ND if centre_D is None else features_ND - centre_D
        return F.normalize(centred, dim=1) @ rows_KD[list(task)].T

    return method


def by_own_answer(texts: Texts, truth: Truth) -> Logits:
    """Return the method that translates the frozen network's own answers into the task's words.

    It is ConSE (Norouzi et al., arXiv 1312.5650, equation 1): the vectors of the ten most probable labels are averaged, weighted by
    their probabilities, and compared with the vectors of the task's words.
    """
    labels_ME, prompts_KE = torch.from_numpy(texts.labels_ME), torch.from_numpy(texts.prompts_KE)

    def method(task: Task, features_ND: Tensor) -> Tensor:
        weights, best = (features_ND @ truth.weight_MD.T + truth.bias_M).softmax(dim=1).topk(_ANSWERS)
        weights = weights / weights.sum(dim=1, keepdim=True)
        mean_NE = (weights[..., None] * labels_ME[best]).sum(dim=1)
        return F.normalize(mean_NE, dim=1) @ prompts_KE[list(task)].T

    return method


def by_generator(generator: Generator, prompts: Sequence[Any], encoder: Any = None) -> Logits:
    """Return the method that generates a classifier for the task, as a user would.

    Args:
        generator: its architecture must be a head on the frozen network.
        prompts: one for each class; those of classes that no task has may be None.
        encoder: a spec or an object; None: the generator's own.
    """

    @torch.no_grad()
    def method(task: Task, features_ND: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PromptWarning)
            classifier = generator([prompts[label] for label in task], encoder=encoder)
        logits: Tensor = classifier.network(features_ND)
        return logits

    return method


def by_random_vectors(generator: Generator, names: Sequence[str]) -> Logits:
    """Return the generator with random vectors, other ones for each task: a fixed set would be lucky or unlucky everywhere."""
    seeds = itertools.count()

    def method(task: Task, features_ND: Tensor) -> Tensor:
        return by_generator(generator, names, RandomVectors(generator.encoder, next(seeds)))(task, features_ND)

    return method


def warned(generator: Generator, prompts: Sequence[Any], encoder: Any = None) -> list[str]:
    """Return the warnings that a user would see who generates one classifier for all prompts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PromptWarning)
        generator(list(prompts), encoder=encoder)
    return [str(warning.message) for warning in caught if issubclass(warning.category, PromptWarning)]


class RandomVectors:
    """An encoder that gives every text a random vector: a generator that does better than chance with it reads something else.

    Args:
        like: the encoder whose space and width it has.
        seed: other seeds give other vectors.
    """

    def __init__(self, like: Any, seed: int) -> None:
        self.name, self.dim, self.space, self.templates = f"random-{seed}", like.dim, like.space, like.templates
        self._seed = seed

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Array:
        """Return (N, E) normal vectors. Each is drawn from its own text and the seed."""
        draws = [np.random.default_rng([self._seed, *text.encode()]) for text in texts]
        return np.stack([draw.standard_normal(self.dim) for draw in draws]).astype(np.float32)
