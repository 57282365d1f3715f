"""The integers in NumPy, against a plain computation of single numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.builtins.exporters.c.samples import everything, pictures
from tina_framework.builtins.exporters.c.exporter import integer_network
from tina_framework.builtins.exporters.c.fixed_point import requantised
from tina_framework.builtins.exporters.c.integers import IntegerConvolution, IntegerGroupNorm, Quantisation
from tina_framework.builtins.exporters.c.reference import integer_logits, result_of


def test_a_convolution_is_the_sum_of_its_products() -> None:
    random = np.random.default_rng(0)
    value = random.integers(-128, 128, (2, 5, 6, 4)).astype(np.int8)
    weights = random.integers(-127, 128, (6, 3, 2, 2)).astype(np.int8)
    biases = random.integers(-500, 500, 6).astype(np.int32)
    mantissas, shifts = np.full(6, 1_234_567_890, np.int32), np.full(6, 38, np.uint8)
    made = IntegerConvolution(0, weights, biases, mantissas, shifts, (2, 1), (1, 0), 2, -100, 100)
    found = result_of(made, [value], (Quantisation(1.0, 7),), Quantisation(1.0, -3))
    assert found.shape == (2, 3, 5, 6)
    for n, y, x, o in np.ndindex(*found.shape):
        total = int(biases[o])
        for ky, kx, i in np.ndindex(3, 2, 2):
            row, column, channel = 2 * y - 1 + ky, x + kx, o // 3 * 2 + i
            if 0 <= row < 5:
                total += (int(value[n, row, column, channel]) - 7) * int(weights[o, ky, kx, i])
        assert found[n, y, x, o] == requantised(total, 1_234_567_890, 38, -3, -100, 100)


def test_group_norm_is_close_to_real_numbers() -> None:
    random = np.random.default_rng(0)
    value = random.integers(-128, 128, (3, 4, 4, 6)).astype(np.int8)
    value[1] = 5  # no variance at all
    value[2] = 5
    value[2, 0, 0, 0] = 6
    weight, bias, eps = random.normal(size=6), random.normal(size=6), 1e-5
    read, made = Quantisation(0.02, 5), Quantisation(0.03, -7)
    size, shift = 4 * 4 * 3, 24
    operation = IntegerGroupNorm(
        0,
        2,
        round(size**2 * eps / read.scale**2),
        np.rint(weight / made.scale * 2**shift).astype(np.int32),
        shift,
        np.rint(256 * bias / made.scale).astype(np.int32),
        -128,
        127,
    )
    found = result_of(operation, [value], (read,), made)
    real = ((value.astype(float) - read.zero) * read.scale).reshape(3, 16, 2, 3)
    centred = real - real.mean(axis=(1, 3), keepdims=True)
    normal = centred / np.sqrt(real.var(axis=(1, 3), keepdims=True) + eps)
    wanted = normal.reshape(3, 4, 4, 6) * weight + bias
    limits = ((-128 - made.zero) * made.scale, (127 - made.zero) * made.scale)
    assert np.abs((found - made.zero) * made.scale - np.clip(wanted, *limits)).max() < 0.51 * made.scale


@pytest.mark.parametrize("count", [0, 1, 70])
def test_pictures_do_not_depend_on_their_batch(count: int) -> None:
    network = integer_network(everything())
    pixels = pictures(70)[:count]
    found = integer_logits(network, pixels)
    assert found.dtype == np.int32
    assert found.shape == (count, 3)
    for row, picture in zip(found[:3], pixels, strict=False):
        assert np.array_equal(integer_logits(network, picture[None])[0], row)
