"""TableResult pictures are known again, in another order and among others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tina_framework.errors import DataError
from tina_framework.evaluation.reproduce.fingerprints import (
    Fingerprint,
    Match,
    PickedPictures,
    compare,
    find,
    fingerprint,
    picture_digests,
    shortened,
)
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages

CLASSES = ("ant", "bee", "cat")


def pictures(count: int, seed: int = 0) -> LabelledImages:
    draws = np.random.default_rng(seed)
    images = draws.integers(0, 256, size=(3 * count, 4, 4, 3)).astype(np.uint8)
    return LabelledImages(images, np.repeat(np.arange(3), count))


def pick(data: LabelledImages, rows: Any) -> LabelledImages:
    return LabelledImages(data.images[rows], data.labels[rows])


def seen(data: LabelledImages, names: tuple[str, ...] = CLASSES) -> tuple[Fingerprint, list[str]]:
    digests = picture_digests(data, names)
    return fingerprint(data, digests), digests


def test_a_fingerprint_survives_json() -> None:
    found, _ = seen(pictures(4))
    assert found.images == 12
    assert found.per_class == (4, 4)
    assert Fingerprint.from_json(found.to_json()) == found


def test_order_pixels_and_labels_are_told_apart() -> None:
    data = pictures(4)
    recorded, _ = seen(data)
    assert compare(seen(data)[0], recorded) is Match.same
    assert compare(seen(pick(data, slice(None, None, -1)))[0], recorded) is Match.reordered
    changed = data.images.copy()
    changed[0, 0, 0, 0] ^= 1
    assert compare(seen(LabelledImages(changed, data.labels))[0], recorded) is Match.other
    assert compare(seen(LabelledImages(data.images, data.labels[::-1]))[0], recorded) is Match.other
    # Labels are numbers; what counts is the class they mean.
    renumbered = LabelledImages(data.images, (data.labels + 1) % 3)
    assert compare(seen(renumbered, ("cat", "ant", "bee"))[0], recorded) is Match.same


def test_recorded_pictures_are_found_among_others() -> None:
    whole = pictures(10)
    rows = [0, 3, 12, 15, 25, 28]
    recorded, digests = seen(pick(whole, rows))
    kept = shortened(digests)
    assert all(len(digest) == 12 for digest in kept)
    assert find(picture_digests(whole, CLASSES), kept, recorded) == rows
    assert find(picture_digests(pick(whole, slice(1, None)), CLASSES), kept, recorded) is None
    assert find(picture_digests(pictures(10, seed=1), CLASSES), kept, recorded) is None


def test_a_narrowed_data_set_changes_one_split() -> None:
    whole = ArrayDataset("toys", CLASSES, {"train": pictures(4), "test": pictures(5, seed=1)})
    narrow = PickedPictures(whole, "test", [0, 6])
    assert (narrow.name, narrow.class_names) == ("toys", CLASSES)
    assert len(narrow.load("train")) == 12
    assert np.array_equal(narrow.load("test").images, whole.load("test").images[[0, 6]])
    with pytest.raises(DataError, match="no split"):
        narrow.load("validation")
