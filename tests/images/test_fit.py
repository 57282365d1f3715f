"""Pictures of any size are cropped and scaled to one size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.images.drawn import colours, near
from tina_framework.errors import ConfigError
from tina_framework.images import check_crop_pct, fit_picture, fit_settings, pictures, read_fit_settings

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


def test_crop_pct_shows_what_scaling_and_cropping_shows() -> None:
    ramp = np.tile(np.linspace(0, 255, 640), (480, 1)).astype(np.uint8)
    picture = Image.fromarray(np.stack([ramp, ramp[:, ::-1], np.full_like(ramp, 7)], axis=-1))
    scaled = picture.resize((round(128 * 640 / 480), 128), Image.Resampling.BICUBIC)
    left, top = (scaled.width - 112) // 2, (scaled.height - 112) // 2
    expected = np.asarray(scaled.crop((left, top, left + 112, top + 112)))
    near(fit_picture(picture, (112, 112), 0.875), expected, 2)


def test_crop_pct_also_crops_pictures_of_the_right_size() -> None:
    framed = np.zeros((16, 16, 3), dtype=np.uint8)
    framed[4:12, 4:12] = 255
    assert fit_picture(Image.fromarray(framed), (16, 16), 0.5).min() > 150  # the filter mixes a little of the frame in
    assert pictures(framed, (16, 16), 0.5).min() > 150
    assert (pictures([framed, framed], (16, 16)) == framed).all()


@pytest.mark.parametrize("value", [0, -0.5, 1.01, float("nan"), True, "0.9", None])
def test_a_wrong_crop_pct_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="give a number above 0 and at most 1"):
        check_crop_pct(value)


def test_settings_are_recorded_and_read() -> None:
    assert fit_settings() == {"fit": "crop-centre"}
    assert read_fit_settings(fit_settings()) == 1
    assert read_fit_settings(fit_settings(0.875)) == 0.875
    with pytest.raises(ConfigError, match="knows only"):
        read_fit_settings({"fit": "crop-centre", "more": 1})
