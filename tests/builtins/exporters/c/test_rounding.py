"""Rounding of weights."""

from __future__ import annotations

import numpy as np

from tina_framework.builtins.exporters.c.rounding import MAX_INPUTS, rounded_weights


def layer(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, biases, scales and correlated inputs whose mean is not zero."""
    random = np.random.default_rng(seed)
    weights, biases = random.normal(size=(6, 24)), random.normal(size=6)
    read = np.maximum(random.normal(size=(500, 8)) @ random.normal(size=(8, 24)) + 1, 0)
    return weights, biases, np.abs(weights).max(axis=1) / 7, read  # a coarse grid, so that errors are large


def test_errors_of_outputs_are_smaller_than_with_the_nearest_integers() -> None:
    weights, biases, scales, read = layer()
    exact = read @ weights.T + biases
    whole, moved = rounded_weights(weights, biases, scales, read)
    nearest = np.rint(weights / scales[:, None])
    error = read @ (whole * scales[:, None]).T + moved - exact
    plain = read @ (nearest * scales[:, None]).T + biases - exact
    assert error.std() < 0.6 * plain.std()
    assert np.abs(error.mean(axis=0)).max() < 1e-6  # the bias corrects the mean
    assert np.array_equal(whole, np.rint(whole))
    assert np.abs(whole).max() <= 127


def test_inputs_that_are_always_zero_are_rounded_to_the_nearest() -> None:
    weights, biases, scales, read = layer()
    whole, moved = rounded_weights(weights, biases, scales, np.zeros_like(read))
    assert np.array_equal(whole, np.rint(weights / scales[:, None]))
    assert np.allclose(moved, biases)


def test_too_many_inputs_are_rounded_to_the_nearest() -> None:
    weights = np.random.default_rng(0).normal(size=(2, MAX_INPUTS + 1))
    whole, biases = rounded_weights(weights, np.ones(2), np.full(2, 0.05), np.ones((3, MAX_INPUTS + 1)))
    assert np.array_equal(whole, np.clip(np.rint(weights / 0.05), -127, 127))
    assert biases.tolist() == [1, 1]
