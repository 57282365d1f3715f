"""Pictures of every kind become the same pixels; what cannot be read is named in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from tina_framework.errors import DataError
from tina_framework.images import Preprocessing, fit_picture, pictures, read_picture, to_rgb
from tina_framework.interfaces.architecture import TargetArchitecture

SIZE = (8, 8)


def _colours(height: int = 8, width: int = 8) -> np.ndarray:
    """Four quarters: red, green, blue, white."""
    array = np.full((height, width, 3), 255, dtype=np.uint8)
    array[: height // 2, : width // 2] = (255, 0, 0)
    array[: height // 2, width // 2 :] = (0, 255, 0)
    array[height // 2 :, : width // 2] = (0, 0, 255)
    return array


def _near(found: np.ndarray, expected: np.ndarray, tolerance: int = 2) -> None:
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=tolerance)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "gif", "ppm"])
def test_file_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(_colours()).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(pictures(path, SIZE)[0], _colours())


def test_the_same_picture_in_every_mode() -> None:
    image = Image.fromarray(_colours())
    for mode in ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "P"):
        _near(pictures(image.convert(mode), SIZE)[0], _colours(), 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I", "F", "I;16"])
def test_grey_modes(mode: str) -> None:
    if mode in ("1", "L", "LA"):
        image = Image.new("L", SIZE, 255).convert(mode)
    elif mode == "F":
        image = Image.fromarray(np.full(SIZE, 1.0, dtype=np.float32))
    else:
        image = Image.fromarray(np.full(SIZE, 65535, dtype=np.uint16 if mode == "I;16" else np.int32))
    assert image.mode == mode
    np.testing.assert_array_equal(pictures(image, SIZE), np.full((1, 8, 8, 3), 255))


def test_sixteen_bits_keep_their_proportions(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    _near(pictures(tmp_path / "deep.png", SIZE)[0, ..., 0], ramp / 257, 1)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    clear = np.zeros((8, 8, 4), dtype=np.uint8)  # black, but transparent
    clear[:4] = (200, 0, 0, 255)
    for image in (Image.fromarray(clear), Image.fromarray(clear).convert("PA")):
        found = pictures(image, SIZE)[0]
        assert (found[4:] == 255).all()
        assert (found[:4] == (200, 0, 0)).all()
    palette = Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).convert("P")
    palette.save(tmp_path / "see-through.png", transparency=0)
    assert (pictures(tmp_path / "see-through.png", SIZE) == 255).all()


def test_exif_rotation_is_undone(tmp_path: Path) -> None:
    upright = Image.fromarray(_colours(16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    read = read_picture(tmp_path / "turned.png")
    assert read.size == (8, 16)
    np.testing.assert_array_equal(np.asarray(read), np.asarray(upright))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (3, 3), (40, 90), (90, 40), (1, 500), (500, 1), (9, 8)])
def test_any_size_fits(height: int, width: int) -> None:
    found = fit_picture(Image.new("RGB", (width, height), (10, 20, 30)), SIZE)
    assert found.shape == (8, 8, 3)
    assert (found == (10, 20, 30)).all()


def test_the_centre_is_kept() -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = _colours()
    np.testing.assert_array_equal(fit_picture(Image.fromarray(wide), SIZE), _colours())


def test_reduction_is_antialiased() -> None:
    lines = np.zeros((256, 256, 3), dtype=np.uint8)
    lines[:, ::2] = 255
    _near(fit_picture(Image.fromarray(lines), SIZE), np.full((8, 8, 3), 127), 6)


def test_target_size_is_width_by_height() -> None:
    assert pictures(Image.new("RGB", (50, 50)), (12, 8)).shape == (1, 8, 12, 3)


def test_everything_a_user_may_have_gives_the_same(tmp_path: Path) -> None:
    array = _colours()
    Image.fromarray(array).save(tmp_path / "a.png")
    tensor = torch.from_numpy(array)
    several = [
        array,
        array[None],
        Image.fromarray(array),
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        tensor,
        tensor.permute(2, 0, 1),
        tensor.permute(2, 0, 1)[None].float() / 255,
        [Image.fromarray(array)],
        [array],
        np.dstack([array, np.full((8, 8), 255, dtype=np.uint8)]),
    ]
    for images in several:
        np.testing.assert_array_equal(pictures(images, SIZE), array[None])
    mixed = [array, Image.fromarray(array), tmp_path / "a.png", tensor]
    np.testing.assert_array_equal(pictures(mixed, SIZE), np.stack([array] * 4))


def test_arrays_of_another_size_are_scaled() -> None:
    batch = np.stack([_colours(32, 32), 255 - _colours(32, 32)])
    found = pictures(batch, SIZE)
    assert found.shape == (2, 8, 8, 3)
    _near(found[1], 255 - found[0], 1)


def test_grey_arrays_and_tensors() -> None:
    grey = np.full((8, 8), 77, dtype=np.uint8)
    assert (pictures(grey, SIZE) == 77).all()
    assert (pictures(torch.from_numpy(grey)[None, None], SIZE) == 77).all()


def test_nothing_gives_nothing() -> None:
    assert pictures([], SIZE).shape == (0, 8, 8, 3)
    assert pictures(np.zeros((0, 5, 5, 3), dtype=np.uint8), SIZE).shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.zeros((8, 8, 3), dtype=np.float32), "type float32; expected"),
        (np.zeros((8, 8, 2), dtype=np.uint8), "expected"),
        (np.zeros((1, 1, 8, 8, 3), dtype=np.uint8), "expected"),
        (np.zeros((0, 8, 3), dtype=np.uint8), "expected"),
        (torch.full((3, 8, 8), 2.0), "outside 0 to 1"),
        (torch.full((3, 8, 8), torch.nan), "outside 0 to 1"),
        (7, "given as int"),
        ([7], "given as int"),
        ([np.zeros((2, 8, 8, 3), dtype=np.uint8)], "given as ndarray"),
    ],
)
def test_wrong_arrays_are_refused(images: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        pictures(images, SIZE)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    bytes_ = whole.read_bytes()
    for name, content in {
        "cut": bytes_[: len(bytes_) // 2],
        "text": b"hello",
        "empty": b"",
        "header": bytes_[:20],
    }.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}\.png' cannot be read \(.+\)") as caught:
            read_picture(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"no-such\.png' does not exist"):
        read_picture(tmp_path / "no-such.png")
    with pytest.raises(DataError, match="cannot be read"):
        read_picture(tmp_path)


@pytest.mark.parametrize("limit", [10, 3000])
def test_huge_pictures_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # 10: PIL's error, 3000: its warning
    with pytest.raises(DataError, match=r"bomb\.png' is too large"):
        read_picture(tmp_path / "bomb.png")


def test_to_rgb_leaves_the_picture_it_was_given_alone() -> None:
    image = Image.new("RGBA", SIZE, (1, 2, 3, 0))
    to_rgb(image)
    assert image.getpixel((0, 0)) == (1, 2, 3, 0)


def test_preprocessing_is_the_formula() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    result = Preprocessing((3, 8, 8), (0.5, 0.4, 0.3), (0.5, 0.2, 0.1))(pixels)
    expected = (pixels / 255 - [0.5, 0.4, 0.3]) / [0.5, 0.2, 0.1]
    np.testing.assert_allclose(result.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_preprocessing_of_an_architecture() -> None:
    architecture = TargetArchitecture("x", torch.nn.Identity, (1, 8, 4), (0.4,), (0.2,))  # type: ignore[arg-type]
    assert Preprocessing.of(architecture) == Preprocessing((1, 8, 4), (0.4,), (0.2,))


def test_one_channel_is_luma() -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[..., 1] = 255
    assert float(Preprocessing((1, 8, 8), (0.0,), (1.0,))(pixels)[0, 0, 0, 0]) == pytest.approx(0.587, abs=1e-4)


@pytest.mark.parametrize("shape", [(2, 16, 8, 3), (8, 8, 3)])
def test_pictures_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"takes \(N, 8, 8, 3\)"):
        Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3)(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("error", [NotImplementedError("DXT1"), KeyError("x"), EOFError()])
def test_whatever_a_decoder_lets_out_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def broken(self: Image.Image) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    with pytest.raises(DataError, match=r"a\.png' cannot be read"):
        read_picture(tmp_path / "a.png")
