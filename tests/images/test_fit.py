"""Pictures of any size are cropped and scaled to one size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.images.drawn import colours, near
from tina_framework.images import fit_picture

SIZE = (8, 8)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (3, 3), (40, 90), (90, 40), (1, 500), (500, 1), (9, 8)])
def test_any_size_fits(height: int, width: int) -> None:
    found = fit_picture(Image.new("RGB", (width, height), (10, 20, 30)), SIZE)
    assert found.shape == (8, 8, 3)
    assert (found == (10, 20, 30)).all()


def test_the_centre_is_kept() -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = colours()
    np.testing.assert_array_equal(fit_picture(Image.fromarray(wide), SIZE), colours())


def test_reduction_is_antialiased() -> None:
    lines = np.zeros((256, 256, 3), dtype=np.uint8)
    lines[:, ::2] = 255
    near(fit_picture(Image.fromarray(lines), SIZE), np.full((8, 8, 3), 127), 6)
