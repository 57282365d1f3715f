"""Pictures of every kind become the same pixels."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.images.drawn import colours, near
from tina_framework.errors import DataError
from tina_framework.images import as_picture, picture_batches, pictures

SIZE = (8, 8)


def test_target_size_is_width_by_height() -> None:
    assert pictures(Image.new("RGB", (50, 50)), (12, 8)).shape == (1, 8, 12, 3)


def test_everything_a_user_may_have_gives_the_same(tmp_path: Path) -> None:
    array = colours()
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
    batch = np.stack([colours(32, 32), 255 - colours(32, 32)])
    found = pictures(batch, SIZE)
    assert found.shape == (2, 8, 8, 3)
    near(found[1], 255 - found[0], 1)


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
        (np.zeros((8, 8, 1), dtype=np.float32), "type float32"),
        ({"a.png"}, "given as a set, which has no order"),
        ({"a.png": 1}, "given as a dict, which has no order"),
        (7, "given as int"),
        (None, "given as NoneType"),
        ([7], "given as int"),
        ([np.zeros((2, 8, 8, 3), dtype=np.uint8)], "given as ndarray"),
    ],
)
def test_wrong_arrays_are_refused(images: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        pictures(images, SIZE)


class Place(os.PathLike[str]):
    """A path that is not a `pathlib.Path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


class Stream:
    """What a network library gives: it can only be read once, from start to end."""

    def __init__(self, path: Path) -> None:
        self.read = path.open("rb").read


@pytest.mark.parametrize(
    "make",
    [
        Path.read_bytes,
        lambda path: bytearray(path.read_bytes()),
        lambda path: memoryview(path.read_bytes()),
        lambda path: io.BytesIO(path.read_bytes()),
        lambda path: path.open("rb"),
        Stream,
        Place,
        lambda path: path.parent.glob("*.png"),
        lambda path: (each for each in [path]),
        lambda path: {path: 1}.keys(),
        lambda path: os.scandir(path.parent),
        lambda path: np.array([str(path)]),
        lambda path: np.array(str(path)),
        lambda path: np.array([str(path).encode()]),
        lambda path: np.array([[path]], dtype=object),
        lambda path: np.array([Image.open(path), None], dtype=object)[:1],
        lambda path: [path.read_bytes()],
        lambda path: iter([np.asarray(Image.open(path))]),
    ],
)
def test_pictures_from_memory_and_from_any_kind_of_path(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(colours()).save(path)
    np.testing.assert_array_equal(pictures(make(path), SIZE), colours()[None])


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (1, 8, 8, 1)])
def test_arrays_with_one_channel(shape: tuple[int, ...]) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(shape)
    expected = np.repeat(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1), 3, axis=3)
    for array in (grey, torch.from_numpy(grey), [grey.reshape(8, 8, 1)]):
        np.testing.assert_array_equal(pictures(array, SIZE), expected)
    assert pictures(np.stack([grey.reshape(8, 8, 1)] * 3), (4, 4)).shape == (3, 4, 4, 3)


def test_single_pictures() -> None:
    near(np.asarray(as_picture(colours()[..., :1])), np.repeat(colours()[..., :1], 3, axis=2))
    with pytest.raises(DataError, match="given as ndarray"):
        as_picture(np.zeros((2, 8, 8, 3), dtype=np.uint8))


def test_a_folder_in_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is a folder"):
        pictures([tmp_path], SIZE)


def test_sparse_tensors_and_tensors_without_values() -> None:
    picture = torch.zeros(3, 8, 8)
    picture[:, 2:5, 2:5] = 1.0
    np.testing.assert_array_equal(pictures(picture.to_sparse(), (8, 8)), pictures(picture, (8, 8)))
    with pytest.raises(DataError, match=r"A picture tensor cannot be read .*; give one with values"):
        pictures(picture.to("meta"), (8, 8))


@pytest.mark.parametrize("kind", [list, np.asarray, lambda given: torch.from_numpy(np.asarray(given))])
@pytest.mark.parametrize("side", [8, 20])
def test_batches_are_parts_of_the_whole(kind: Callable[[Any], Any], side: int) -> None:
    given = kind([np.full((side, side, 3), value, dtype=np.uint8) for value in range(5)])
    parts = list(picture_batches(given, SIZE, 0.5, batch_size=2))
    assert [len(part) for part in parts] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts), pictures(given, SIZE, 0.5))
    assert list(picture_batches(given[:0], SIZE, batch_size=2)) == []


def test_files_are_read_when_their_batch_is_asked_for() -> None:
    asked: list[int] = []

    def given() -> Any:
        for number in range(5):
            asked.append(number)
            yield Image.new("RGB", (30, 20))

    batches = picture_batches(given(), SIZE, batch_size=2)
    assert next(batches).shape == (2, 8, 8, 3)
    assert asked == [0, 1]
