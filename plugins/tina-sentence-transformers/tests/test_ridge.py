"""Test the regression on made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest

from tina_sentence_transformers.ridge import FOLDS, Settings, cosines, cross_validate, fit, signs, unit


def linear_rows(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors, and unit vectors that depend on them almost linearly."""
    rng = np.random.default_rng(0)
    x = unit(rng.standard_normal((count, 6)))
    return x, unit(1.0 + x @ rng.standard_normal((6, 4)))


def test_cosines_ignore_lengths_and_the_mean() -> None:
    mean = np.array([0.5, 0.5])
    rows = np.array([[2.0, 0.0], [0.0, 3.0]])
    np.testing.assert_allclose(cosines(rows, rows, mean), 1.0)
    np.testing.assert_allclose(cosines(rows, rows[::-1], mean), -1.0)


@pytest.mark.parametrize("landmarks", [0, 40])
def test_a_linear_relation_is_found(landmarks: int) -> None:
    x, v = linear_rows()
    fitted = fit(x[:50], v[:50], Settings(landmarks, ridge=0.003), np.zeros(50, dtype=bool))
    assert cosines(fitted.predict(x[50:]), v[50:], fitted.mean_E).mean() > 0.9
    assert (fitted.gamma > 0) == (landmarks > 0)


def test_anchors_are_landmarks_and_match_better() -> None:
    x, v = linear_rows()
    v = unit(v + 0.5 * np.random.default_rng(1).standard_normal(v.shape))
    anchors = np.arange(60) >= 55
    fitted = fit(x, v, Settings(10, ridge=0.1), anchors)
    found = cosines(fitted.predict(x), v, fitted.mean_E)
    assert found[anchors].mean() > found[~anchors].mean()
    _, similarities = signs(fitted, x[anchors])
    np.testing.assert_allclose(similarities, 1.0, atol=1e-3)


def test_cross_validation_returns_one_value_for_each_row() -> None:
    x, v = linear_rows()
    settings, by_cosine, by_length, by_similarity = cross_validate(
        x, v, 0, np.zeros(60, dtype=bool), np.arange(60, dtype=np.intp) % FOLDS
    )
    assert settings.landmarks == 0
    assert by_cosine.shape == by_length.shape == by_similarity.shape == (60,)
    assert by_cosine.mean() > 0.9
    assert not by_similarity.any()
