"""Baselines from text vectors to rows."""

from __future__ import annotations

import numpy as np
import pytest
from photo_tables.closed_form import Fit, kernel, mlp, nearest, ridge


def problem() -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    texts = draws.standard_normal((200, 12)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    rows = texts @ draws.standard_normal((12, 6)).astype(np.float32)
    return texts, rows


@pytest.mark.parametrize(("fit", "least"), [(ridge(0.01), 0.999), (kernel(2, 0.1), 0.97), (mlp, 0.9), (nearest, 0.6)])
def test_rows_of_new_texts_point_where_they_should(fit: Fit, least: float) -> None:
    texts, rows = problem()
    found, wanted = fit(texts[:150], rows[:150], texts[150:]), rows[150:]
    cosines = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert found.shape == wanted.shape
    assert cosines.mean() > least


def test_the_network_is_the_same_each_time() -> None:
    texts, rows = problem()
    np.testing.assert_array_equal(mlp(texts, rows, texts[:3]), mlp(texts, rows, texts[:3]))


def test_nearest_returns_a_row() -> None:
    texts, rows = problem()
    np.testing.assert_array_equal(nearest(texts, rows, texts[4:6]), rows[4:6])
