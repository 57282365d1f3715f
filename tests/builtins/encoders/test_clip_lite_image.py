"""Test the image tower with random weights."""

from __future__ import annotations

import numpy as np
import torch

from tina_framework.builtins.encoders.clip_lite_image import ImageTower, standardise


def test_gives_unit_vectors_one_by_one_or_together() -> None:
    torch.manual_seed(0)
    tower = ImageTower((8, 12, 16), 24).eval()
    pixels = standardise(np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8))
    with torch.inference_mode():
        together = tower(pixels)
        alone = torch.cat([tower(pixels[i : i + 1]) for i in range(5)])
    assert together.shape == (5, 24)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_standardise_centres_the_channels() -> None:
    grey = np.full((1, 32, 32, 3), 128, np.uint8)
    tensor = standardise(grey)
    assert tensor.shape == (1, 3, 32, 32)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(
        tensor[0, :, 0, 0], (128 / 255 - np.array([0.507, 0.487, 0.441])) / [0.267, 0.256, 0.276], atol=1e-5
    )
