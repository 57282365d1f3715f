"""A classifier of random weights, pictures for it, and its folder. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import numpy as np

    from tina_framework.classifier.classifier import GeneratedClassifier


@pytest.fixture(scope="module")
def classifier() -> GeneratedClassifier:
    import torch

    from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
    from tina_framework.classifier.classifier import GeneratedClassifier

    torch.manual_seed(0)
    network = CNN2Layer(3)
    with torch.no_grad():
        network.fc.weight.mul_(20)  # so that probabilities differ between pictures
    return GeneratedClassifier.from_state(cnn_2layer, ("ant", "bee", "cat"), network.state_dict(), {"seed": 5})


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def folder(classifier: GeneratedClassifier, tmp_path: Path) -> Path:
    classifier.save_pretrained(tmp_path / "model")
    return tmp_path / "model"
