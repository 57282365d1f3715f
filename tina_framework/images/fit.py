"""Bring a picture to the size that a network takes.

Shapes: H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from tina_framework.errors import ConfigError, shorten

__all__ = ["FIT", "check_crop_pct", "fit_picture", "fit_settings", "read_fit_settings", "uncropped_size"]

FIT = "crop-centre"
"""The name of what `fit_picture` does. Saved folders record it, so that another fit would not be mistaken for this one."""


def fit_picture(picture: Image.Image, size: tuple[int, int], crop_pct: float = 1.0) -> npt.NDArray[np.uint8]:
    """Crop the centre of an RGB picture to the proportions of `size` (W, H) and scale it to (H, W, 3).

    The filter is bicubic with antialiasing: it widens with the reduction. Training and prediction both use this function.

    Args:
        picture: an RGB picture.
        size: (W, H) of the result.
        crop_pct: the part of the crop's sides that is kept, above 0 and at most 1. As in timm: 0.875 shows the region of "scale the
            short side to W / 0.875, then crop W pixels". Here the crop comes first, so fewer pixels are scaled.
    """
    if picture.size != size or crop_pct != 1:
        # `bleed` is what is cut from each of the four edges, as a fraction of the side.
        picture = ImageOps.fit(picture, size, method=Image.Resampling.BICUBIC, bleed=(1 - crop_pct) / 2)
    return np.asarray(picture, dtype=np.uint8)


def uncropped_size(size: tuple[int, int], crop_pct: float) -> tuple[int, int]:
    """Return the size (W, H) of a picture whose centre, cropped to `crop_pct` of the sides, has `size` or a little more."""
    return math.ceil(size[0] / crop_pct), math.ceil(size[1] / crop_pct)


def check_crop_pct(value: Any) -> float:
    """Return the value as a number.

    Raises:
        ConfigError: it is not a number above 0 and at most 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and 0 < value <= 1):
        raise ConfigError(f"crop_pct is {shorten(value)}; give a number above 0 and at most 1, such as 0.875.")
    return float(value)


def fit_settings(crop_pct: float = 1.0) -> dict[str, Any]:
    """Return how pictures are fitted, as saved folders record it. Nothing is recorded of a crop that keeps everything."""
    return {"fit": FIT} if crop_pct == 1 else {"fit": FIT, "crop_pct": crop_pct}


def read_fit_settings(values: Any) -> float:
    """Return the crop_pct of what `fit_settings` returned.

    Raises:
        ConfigError: this program does not know the fit, or the crop_pct is not valid.
    """
    if not isinstance(values, Mapping) or values.get("fit") != FIT or set(values) - {"fit", "crop_pct"}:
        raise ConfigError(
            f"The preprocessing is {shorten(values)}, but this program knows only {{'fit': '{FIT}'}}, with or without crop_pct."
        )
    return check_crop_pct(values.get("crop_pct", 1.0))
