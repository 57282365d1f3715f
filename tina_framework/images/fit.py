"""Bring a picture to the size that a network takes.

Shapes: H height, W width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

__all__ = ["FIT", "fit_picture"]

FIT = "crop-centre"
"""The name of what `fit_picture` does. Saved folders record it, so that another fit would not be mistaken for this one."""


def fit_picture(picture: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Crop the centre of an RGB picture to the proportions of `size` (W, H) and scale it to (H, W, 3).

    The filter is bicubic with antialiasing: it widens with the reduction. Training and prediction both use this function.
    """
    if picture.size != size:
        picture = ImageOps.fit(picture, size, method=Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8)
