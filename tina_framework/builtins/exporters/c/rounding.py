"""Round weights to integers so that the errors of a layer's inputs compensate each other.

This is GPTQ (Frantar et al. 2023, arXiv 2210.17323, algorithm 1) without blocks: weights are rounded one input after the other, and
the later ones, and the bias, take over the error as far as inputs are correlated.

Shapes: O outputs, D inputs, P positions.
"""

from __future__ import annotations

import numpy as np

from tina_framework.builtins.exporters.c.operations import Floats

__all__ = ["MAX_INPUTS", "rounded_weights"]

MAX_INPUTS = 2048
"""With more inputs the matrix of their products becomes too large, and weights are rounded to the nearest integer."""

_DAMPING = 0.01
"""Of the mean diagonal, as in the paper. It was not tuned further: 0.1 gave the same accuracy, and 1 a lower one."""


def rounded_weights(weights: Floats, biases: Floats, scales: Floats, read: Floats) -> tuple[Floats, Floats]:
    """Return integer weights (O, D) between -127 and 127, and biases (O,) that make up for their errors.

    Args:
        weights: (O, D).
        biases: (O,).
        scales: (O,) of one step of each output's weights.
        read: (P, D) inputs of the layer on the pictures for calibration.
    """
    outputs, inputs = weights.shape
    if inputs > MAX_INPUTS or not len(read):
        return np.clip(np.rint(weights / scales[:, None]), -127, 127), biases
    # The bias is the weight of an input that is always 1. It comes last and is not rounded, so it corrects the mean error.
    ones = np.ones((len(read), 1))
    extended = np.concatenate([read, ones], axis=1)
    products = extended.T @ extended / len(read)
    diagonal = np.diagonal(products)[:inputs]
    products[np.arange(inputs), np.arange(inputs)] += _DAMPING * max(float(diagonal.mean()), 1e-12)
    products[inputs, inputs] += 1e-9
    upper = np.linalg.cholesky(np.linalg.inv(products)).T
    left = np.concatenate([weights, biases[:, None]], axis=1)
    rounded = np.empty((outputs, inputs))
    for column in range(inputs):
        rounded[:, column] = np.clip(np.rint(left[:, column] / scales), -127, 127)
        error = (left[:, column] - rounded[:, column] * scales) / upper[column, column]
        left[:, column + 1 :] -= error[:, None] * upper[column, column + 1 :]
    return rounded, left[:, inputs]
