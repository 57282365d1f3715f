"""Picture files of every format and mode are read; what cannot be read is named in one sentence."""

from __future__ import annotations

import io
import os
import socket
import struct
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from tests.images.drawn import colours, near
from tina_framework.errors import DataError
from tina_framework.images import pictures, read_picture, to_rgb

SIZE = (8, 8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "gif", "ppm"])
def test_file_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(colours()).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(pictures(path, SIZE)[0], colours())


def test_the_same_picture_in_every_mode() -> None:
    image = Image.fromarray(colours())
    for mode in ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "P"):
        near(pictures(image.convert(mode), SIZE)[0], colours(), 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "I", "F", "I;16"])
def test_grey_modes(mode: str) -> None:
    if mode == "La":
        image = Image.new("LA", SIZE, (255, 255)).convert(mode)
    elif mode in ("1", "L", "LA"):
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
    near(pictures(tmp_path / "deep.png", SIZE)[0, ..., 0], ramp / 257, 1)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    clear = np.zeros((8, 8, 4), dtype=np.uint8)  # black, but transparent
    clear[:4] = (200, 0, 0, 255)
    premultiplied = Image.fromarray(clear).convert("RGBa")
    for image in (Image.fromarray(clear), Image.fromarray(clear).convert("PA"), premultiplied):
        found = pictures(image, SIZE)[0]
        assert (found[4:] == 255).all()
        assert (found[:4] == (200, 0, 0)).all()
    palette = Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).convert("P")
    palette.save(tmp_path / "see-through.png", transparency=0)
    assert (pictures(tmp_path / "see-through.png", SIZE) == 255).all()


def test_exif_rotation_is_undone(tmp_path: Path) -> None:
    upright = Image.fromarray(colours(16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    read = read_picture(tmp_path / "turned.png")
    assert read.size == (8, 16)
    np.testing.assert_array_equal(np.asarray(read), np.asarray(upright))


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
    with pytest.raises(DataError, match="it is empty"):
        read_picture(tmp_path / "empty.png")
    with pytest.raises(DataError, match=r"no-such\.png' does not exist"):
        read_picture(tmp_path / "no-such.png")
    with pytest.raises(DataError, match=r"cannot be read \(it is a folder\)"):
        read_picture(tmp_path)
    with pytest.raises(DataError, match="File name too long"):
        read_picture("x" * 5000)
    with pytest.raises(DataError, match="embedded null"):
        read_picture("a\0b.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(DataError, match="symbolic links"):
        read_picture(tmp_path / "loop.png")


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


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("DXT1"),
        KeyError("x"),
        EOFError(),
        RuntimeError("Failed to decode frame 0"),
        struct.error("unpack requires a buffer"),
        ZeroDivisionError(),
        RecursionError("deep"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_decoder_lets_out_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def broken(self: Image.Image) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    with pytest.raises(DataError, match=r"a\.png' cannot be read"):
        read_picture(tmp_path / "a.png")


def _tiff_block(*entries: bytes, data: bytes = b"") -> bytes:
    """Return an EXIF block with the given tags, whose values may be of a wrong type."""
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0" + data


def _tag(number: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHI", number, kind, count) + value


@pytest.mark.parametrize(
    "odd",
    [
        _tag(0x11A, 9, 1, struct.pack("<i", -72)),  # resolution as a signed number
        _tag(0x100, 2, 3, b"96\0\0"),  # width as text
        _tag(0x10F, 5, 1, struct.pack("<I", 38)),  # maker as a fraction
        _tag(0x8769, 4, 1, struct.pack("<I", 999_999)),  # a block far behind the end
        _tag(0x9C9B, 7, 4, b"\xff\xff\xff\xff"),
    ],
    ids=["signed", "text", "fraction", "far", "bytes"],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_only_the_orientation_is_read_of_exif(tmp_path: Path, odd: bytes, suffix: str) -> None:
    turned = Image.new("RGB", (12, 8), "red")
    orientation = _tag(0x112, 3, 1, struct.pack("<HH", 6, 0))
    turned.save(tmp_path / f"odd.{suffix}", exif=_tiff_block(orientation, odd, data=b"\0" * 48))
    assert read_picture(tmp_path / f"odd.{suffix}").size == (8, 12)


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0II*",
        b"nonsense",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        _tiff_block(_tag(0x112, 2, 2, b"6\0\0\0")),
    ],
)
def test_broken_exif_is_ignored(tmp_path: Path, block: bytes) -> None:
    Image.new("RGB", (12, 8)).save(tmp_path / "a.jpg", exif=block)
    assert read_picture(tmp_path / "a.jpg").size == (12, 8)


def test_a_tiff_is_turned_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 8)).save(tmp_path / "a.tif", exif=exif)
    assert read_picture(tmp_path / "a.tif").size == (8, 12)


def test_a_damaged_avif_is_one_sentence(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.avif")
    whole = (tmp_path / "a.avif").read_bytes()
    for end in range(10, len(whole), 97):
        (tmp_path / "cut.avif").write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"cut\.avif' cannot be read"):
            read_picture(tmp_path / "cut.avif")


@pytest.mark.parametrize("suffix", ["gif", "tiff", "webp", "png", "avif"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    near(np.asarray(read_picture(tmp_path / f"a.{suffix}"))[4, 4], np.array([255, 0, 0]), 6)


def test_float_and_32_bit_tiff_files(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    for name, values in (("a", ramp), ("b", ramp * 255), ("c", (ramp * 65535).astype(np.int32))):
        Image.fromarray(values).save(tmp_path / f"{name}.tif")
        near(np.asarray(read_picture(tmp_path / f"{name}.tif"))[..., 1], ramp * 255, 1)
    values = np.array([[np.nan, np.inf, -np.inf, 200.0]], dtype=np.float32)
    assert np.asarray(to_rgb(Image.fromarray(values)))[0, :, 0].tolist() == [0, 255, 0, 200]


def _jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    y, x = np.mgrid[:height, :width]
    waves = 127 + 120 * np.sin(x / width * 9) * np.cos(y / height * 7)
    Image.fromarray(np.stack([waves, 255 - waves, x * 255 / width], axis=2).astype(np.uint8)).save(
        file, "JPEG", quality=95
    )
    return file.getvalue()


@pytest.mark.parametrize("exif", [1, 6])
def test_a_large_jpeg_is_decoded_at_a_reduced_size(exif: int) -> None:
    with Image.open(io.BytesIO(_jpeg(1280, 720))) as whole:
        rotated = io.BytesIO()
        tags = Image.Exif()
        tags[0x0112] = exif
        whole.save(rotated, "JPEG", quality=95, exif=tags)
    content = rotated.getvalue()
    found = read_picture(content, (8, 8))
    assert sorted(found.size) == [360, 640]  # a quarter would have fewer than 256 pixels
    with Image.open(io.BytesIO(content)) as whole:
        near(pictures(content, SIZE), pictures(whole, SIZE), 2)
    assert sorted(read_picture(content).size) == [720, 1280]
    assert sorted(read_picture(content, (180, 180)).size) == [360, 640]
    assert sorted(read_picture(content, (181, 181)).size) == [720, 1280]


def test_the_limit_is_the_same_everywhere_and_pillow_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (100, 60)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)
    assert read_picture(tmp_path / "a.png").size == (100, 60)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5999)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes()):
            with pytest.raises(DataError, match=r"too large .* \(100 x 60 pixels; the limit is 5,999 pixels\)"):
                read_picture(source, SIZE)
    assert Image.MAX_IMAGE_PIXELS == 5999
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_picture(tmp_path / "a.png").size == (100, 60)


def test_threads_leave_no_warning_filter_behind(tmp_path: Path) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    before = list(warnings.filters)

    def read() -> None:
        for _ in range(30):
            read_picture(tmp_path / "a.png")

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        for path in (tmp_path / "pipe.png", tmp_path / "s", "/dev/zero"):
            with pytest.raises(DataError, match="pipe, socket or device"):
                read_picture(path)


@pytest.mark.parametrize("wrap", [lambda content: content, io.BytesIO])
def test_a_git_lfs_pointer_says_what_to_run(tmp_path: Path, wrap: Callable[[bytes], object]) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    (tmp_path / "a.png").write_bytes(pointer)
    for source in (tmp_path / "a.png", wrap(pointer)):
        with pytest.raises(DataError, match=r"Git LFS pointer .* run `git lfs pull`"):
            read_picture(source)  # type: ignore[arg-type]


def test_documents_are_not_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    with pytest.raises(DataError, match="the format EPS, which is not a picture"):
        read_picture(tmp_path / "a.eps")
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n0000")
    with pytest.raises(DataError, match="HDF5"):
        read_picture(tmp_path / "a.h5")


def test_open_files_stay_open(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as handle:
        for _ in range(2):
            handle.seek(5)
            np.testing.assert_array_equal(np.asarray(read_picture(handle)), colours())
        assert not handle.closed
    with pytest.raises(DataError, match=r"a\.png' cannot be read \(.*closed file"):
        read_picture(handle)
    with (tmp_path / "a.png").open() as text, pytest.raises(DataError, match="open as text; open it with mode 'rb'"):
        read_picture(text)  # type: ignore[arg-type]


def test_a_picture_that_pillow_reads_late_is_checked(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()[:300]
    with Image.open(io.BytesIO(content)) as lazy, pytest.raises(DataError, match="A picture cannot be read"):
        to_rgb(lazy)
    with pytest.raises(DataError, match="no pixels"):
        to_rgb(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_picture_is_turned_only_once(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours(8, 16)).save(tmp_path / f"a.{suffix}", exif=exif)
    once = read_picture(tmp_path / f"a.{suffix}")
    assert once.size == to_rgb(once).size == to_rgb(to_rgb(once)).size == (8, 16)


def test_large_pictures_are_converted_in_strips() -> None:
    values = np.random.default_rng(0).integers(0, 256, (700, 5, 4), dtype=np.uint8)
    image = Image.fromarray(values)
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    np.testing.assert_array_equal(np.asarray(to_rgb(image)), np.asarray(expected))
    palette = image.convert("RGB").convert("P")
    palette.info["transparency"] = bytes(range(256))
    whole = palette.convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), whole).convert("RGB")
    np.testing.assert_array_equal(np.asarray(to_rgb(palette)), np.asarray(expected))
    deep = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(np.asarray(to_rgb(deep))[..., 2], values[..., 0])


def test_a_message_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a\nb\r.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\\nb\\r\.png' cannot be read"):
        read_picture(tmp_path / "a\nb\r.png")


def test_odd_sources_are_one_sentence() -> None:
    class Stream:
        """An object that has `read` alone, such as the answer of a server."""

        def read(self, size: int = -1) -> bytes:
            return b"no picture"

    released = memoryview(b"abc")
    released.release()
    for source in (Stream(), memoryview(b"no picture")[::2], released):
        with pytest.raises(DataError, match=r"^A picture from a (Stream|memoryview) cannot be read \(.*; give .*\.$"):
            read_picture(source)  # type: ignore[arg-type]
