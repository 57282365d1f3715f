"""Test the data set ``arrays``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import Dataset


def content(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (60, 4, 4, 3), dtype=np.uint8),
        "train_labels": np.repeat(np.arange(3, dtype=np.uint8), 20),
        "test_images": rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8),
        "test_labels": np.repeat(np.arange(3, dtype=np.uint8), 2),
        "class_names": np.asarray(["apple", "oak_tree", "Bear"]),
        "coarse_names": np.asarray(["plants", "animals"]),
        "fine_to_coarse": np.asarray([0, 0, 1], dtype=np.uint8),
    } | changes


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **{name: value for name, value in content(**changes).items() if value is not None})
    return path


def test_a_whole_file(tmp_path):
    path = write(tmp_path)
    data = arrays(str(path))
    assert isinstance(data, Dataset)
    assert data.name == f"arrays:{path}"
    assert data.class_names == ("apple", "oak tree", "bear")
    assert data.superclasses == (0, 0, 1)
    raw = content()
    assert np.array_equal(data.load("test").images, raw["test_images"])
    assert np.array_equal(data.load("test").labels, raw["test_labels"])
    assert data.load("test").labels.dtype == np.int64
    held_back = [18, 19, 38, 39, 58, 59]
    assert np.array_equal(data.load("validation").images, raw["train_images"][held_back])
    assert np.array_equal(data.load("train").images, np.delete(raw["train_images"], held_back, axis=0))
    assert np.array_equal(data.load("train").labels, np.repeat([0, 1, 2], 18))


def test_compressed_files_and_files_without_superclasses(tmp_path):
    raw = content()
    del raw["coarse_names"], raw["fine_to_coarse"]
    np.savez_compressed(tmp_path / "data.npz", **raw)
    data = arrays(tmp_path / "data.npz")
    assert data.superclasses is None
    assert np.array_equal(data.load("test").images, raw["test_images"])


IMAGES = np.zeros((60, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"test_images": None, "class_names": None},
            "lacks test_images, class_names; expected train_images, .* It has: train_images",
        ),
        (
            {"train_images": IMAGES[0]},
            "4 'train_images' but 60 'train_labels'",
        ),
        (
            {"train_images": IMAGES[..., :2]},
            r"'train_images' has shape \(60, 4, 4, 2\) and type uint8; expected \(N, height, width, 3\)",
        ),
        ({"train_images": IMAGES.astype(np.float32)}, "type float32; expected"),
        ({"train_images": IMAGES.transpose(0, 3, 1, 2)}, r"has shape \(60, 3, 4, 4\)"),
        ({"train_images": IMAGES[:50]}, "50 'train_images' but 60 'train_labels'"),
        (
            {"train_labels": np.full(60, 3)},
            "'train_labels' has values 3 to 3; expected 0 to 2, as there are 3 class names",
        ),
        ({"test_labels": np.full(6, -1)}, "'test_labels' has values -1 to -1; expected 0 to 2"),
        ({"test_labels": np.zeros(6)}, "'test_labels' has shape .* and type float64; expected .* integers"),
        ({"test_labels": np.zeros(0, int), "test_images": IMAGES[:0]}, "'test_labels' has shape"),
        ({"class_names": np.arange(3)}, "'class_names' has shape .* and type int64; expected .* strings"),
        ({"class_names": np.asarray(["a", "b", "a"])}, "has the name 'a' twice"),
        ({"class_names": np.asarray(["a", None, "b"], dtype=object)}, "'class_names' cannot be read .*allow_pickle"),
        ({"class_names": np.asarray(["a", "b\x1b[2J", "c"])}, r"has the control character '\\x1b'"),
        ({"class_names": np.asarray(["caf\u00e9", "cafe\u0301", "c"])}, "has the name 'caf\u00e9' twice"),
        ({"x_train": IMAGES, "extra": IMAGES}, "has unknown arrays: x_train, extra; expected train_images"),
        ({"holdout_images": IMAGES}, "unknown arrays: holdout_images"),
        ({"val_images": IMAGES}, "only one of 'validation_images' and 'validation_labels'"),
        (
            {"val_images": IMAGES[:3, :2], "val_labels": np.arange(3)},
            "'validation_images' have another size than 'train_images'",
        ),
        ({"Train_Images": IMAGES}, "'train_images' and 'Train_Images' are both 'train_images'"),
        ({"fine_to_coarse": np.asarray([0, 1])}, r"'fine_to_coarse' has shape \(2,\); expected \(3,\)"),
        ({"fine_to_coarse": np.asarray([0, 1, 2])}, "'fine_to_coarse' has values 0 to 2; expected 0 to 1"),
    ],
)
def test_wrong_contents(tmp_path, changes, words):
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=words):
        arrays(path)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1)])
def test_grey_images_and_columns_of_labels(tmp_path, shape):
    grey = np.random.default_rng(0).integers(0, 256, (60, *shape), dtype=np.uint8)
    column = np.repeat(np.arange(3, dtype=np.int16), 20)[:, None]
    names = np.asarray([["apple"], ["oak_tree"], ["Bear"]])
    data = arrays(write(tmp_path, train_images=grey, train_labels=column, class_names=names))
    assert data.class_names == ("apple", "oak tree", "bear")
    whole = data.load("train")
    assert whole.labels.shape == (54,)
    for channel in range(3):
        assert np.array_equal(whole.images[:18, ..., channel], grey[:18].reshape(18, 4, 4))


@pytest.mark.parametrize(
    "names", [("val_images", "val_labels"), ("Validation_Images", "VALID_labels"), ("dev_images",) * 2]
)
def test_validation_arrays_by_any_name(tmp_path, names):
    given = {names[0]: IMAGES[:6] + 7, names[1].replace("images", "labels"): np.asarray([2, 2, 1, 1, 0, 0])}
    data = arrays(write(tmp_path, **given))
    assert data.load("validation").labels.tolist() == [2, 2, 1, 1, 0, 0]
    assert (data.load("validation").images == 7).all()
    assert len(data.load("train")) == 60


def test_training_and_test_arrays_by_other_names(tmp_path):
    raw = content()
    np.savez(
        tmp_path / "data.npz", **{name.replace("train", "Training").replace("test", "eval"): raw[name] for name in raw}
    )
    data = arrays(tmp_path / "data.npz")
    assert np.array_equal(data.load("test").images, raw["test_images"])
    assert len(data.load("train")) == 54


def test_files_that_are_no_archives(tmp_path):
    with pytest.raises(DataError, match=r"absent\.npz' does not exist"):
        arrays(tmp_path / "absent.npz")
    with pytest.raises(DataError, match=f"{tmp_path.name}' is not a regular file"):
        arrays(tmp_path)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"is not an \.npz archive"):
        arrays(tmp_path / "text.npz")
    whole = write(tmp_path).read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is truncated"):
        arrays(tmp_path / "short.npz")


def test_altered_pixels_are_refused(tmp_path):
    path = write(tmp_path)
    whole = bytearray(path.read_bytes())
    place = whole.find(content()["train_images"].tobytes()[:64])
    whole[place + 7] ^= 255
    path.write_bytes(whole)
    with pytest.raises(DataError, match="'train_images' cannot be read"):
        arrays(path).load("train")


@pytest.mark.slow
@pytest.mark.cifar100
def test_the_real_file(cifar100_path):
    data = arrays(cifar100_path)
    assert len(data.class_names) == 100
    assert [set(np.bincount(data.load(s).labels)) for s in ("train", "validation")] == [{450}, {50}]


def test_a_git_lfs_pointer_says_what_to_run(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(DataError, match=r"is a Git LFS pointer .* run `git lfs pull`"):
        arrays(str(path))
