"""Pixels become the standardised input of a network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tina_framework.errors import ConfigError, DataError
from tina_framework.images import FIT, Preprocessing
from tina_framework.interfaces.architecture import TargetArchitecture


def test_preprocessing_is_the_formula() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    result = Preprocessing((3, 8, 8), (0.5, 0.4, 0.3), (0.5, 0.2, 0.1))(pixels)
    expected = (pixels / 255 - [0.5, 0.4, 0.3]) / [0.5, 0.2, 0.1]
    np.testing.assert_allclose(result.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_preprocessing_of_an_architecture() -> None:
    architecture = TargetArchitecture("x", torch.nn.Identity, (1, 8, 4), (0.4,), (0.2,))  # type: ignore[arg-type]
    assert Preprocessing.of(architecture) == Preprocessing((1, 8, 4), (0.4,), (0.2,))
    cropped = dataclasses.replace(architecture, crop_pct=0.5)
    assert Preprocessing.of(cropped) == Preprocessing((1, 8, 4), (0.4,), (0.2,), crop_pct=0.5)


def test_pixels_are_cropped() -> None:
    framed = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    framed[:, 4:12, 4:12] = 255
    assert (Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3, crop_pct=0.5).pixels(framed) == 255).all()
    assert not (Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3).pixels(framed) == 255).all()


def test_the_record_names_crop_pct_only_if_it_crops() -> None:
    plain = Preprocessing((3, 8, 8), (0.5,) * 3, (0.25,) * 3)
    assert plain.to_json() == {"input_shape": [3, 8, 8], "mean": [0.5] * 3, "std": [0.25] * 3, "fit": "crop-centre"}
    assert dataclasses.replace(plain, crop_pct=0.875).to_json() == {**plain.to_json(), "crop_pct": 0.875}


def test_one_channel_is_luma() -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[..., 1] = 255
    assert float(Preprocessing((1, 8, 8), (0.0,), (1.0,))(pixels)[0, 0, 0, 0]) == pytest.approx(0.587, abs=1e-4)


@pytest.mark.parametrize("shape", [(2, 16, 8, 3), (8, 8, 3)])
def test_pictures_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"takes \(N, 8, 8, 3\)"):
        Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3)(np.zeros(shape, np.uint8))


def test_an_unknown_fit_is_refused() -> None:
    assert Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3).fit == FIT == "crop-centre"
    with pytest.raises(ConfigError, match="'stretch', but this program knows only 'crop-centre'"):
        Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3, "stretch")
