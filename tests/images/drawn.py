"""Pictures that the tests draw."""

from __future__ import annotations

import numpy as np


def colours(height: int = 8, width: int = 8) -> np.ndarray:
    """Four quarters: red, green, blue, white."""
    array = np.full((height, width, 3), 255, dtype=np.uint8)
    array[: height // 2, : width // 2] = (255, 0, 0)
    array[: height // 2, width // 2 :] = (0, 255, 0)
    array[height // 2 :, : width // 2] = (0, 0, 255)
    return array


def near(found: np.ndarray, expected: np.ndarray, tolerance: int = 2) -> None:
    """Compare pixels."""
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=tolerance)
