"""Made-up pictures are a data set like any other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tina_framework.interfaces.dataset import Dataset
from tina_framework.testing import DatasetTests, noise_dataset


class TestNoise(DatasetTests):
    @pytest.fixture
    def dataset(self) -> Callable[[], Dataset]:
        return lambda: noise_dataset(("ant", "bee", "cat"), 8)


def test_size_and_number() -> None:
    data = noise_dataset(("ant", "bee"), 8).load("train")
    assert data.images.shape == (12, 8, 8, 3)
    assert np.bincount(data.labels).tolist() == [6, 6]
