"""A classifier that knows nothing, and pictures it can learn from: one colour a class, in noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
from tina_framework.classifier.classifier import GeneratedClassifier

NAMES = ("red", "green", "blue")


def _coloured(per_class: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Pictures (3 * per_class, 32, 32, 3), class by class, and their names."""
    noise = np.random.default_rng(seed).integers(0, 120, (3 * per_class, 32, 32, 3), dtype=np.uint8)
    for row in range(len(noise)):
        noise[row, ..., row // per_class] += 100
    return noise, [name for name in NAMES for _ in range(per_class)]


@pytest.fixture(scope="module")
def classifier() -> GeneratedClassifier:
    torch.manual_seed(0)
    return GeneratedClassifier.from_state(cnn_2layer, NAMES, CNN2Layer(3).state_dict(), {"seed": 5})


@pytest.fixture
def coloured() -> Callable[..., tuple[np.ndarray, list[str]]]:
    """`coloured(per_class, seed)`: pictures and their names."""
    return _coloured
