"""Which splits are looked at, and how their pictures relate to the recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tina_framework.errors import DataError
from tina_framework.evaluation.reproduce.fingerprints import Match, fingerprint, picture_digests, shortened
from tina_framework.evaluation.reproduce.picture_check import check_pictures, splits_of
from tina_framework.evaluation.reproduce.records import Record, Table, TableResult
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages

CLASSES = ("ant", "bee")


def test_training_pictures_matter_where_something_is_trained() -> None:
    def splits(methods: str, split: str = "test") -> list[str]:
        return splits_of(Table("a", "A", "m", "t.json", methods, image_split=split))

    assert splits("tina,selection") == ["test"]
    assert splits("tina,fine-tune@long") == ["test", "train"]
    assert splits("tina", "validation") == ["validation"]


def record_of(tmp_path: Path, recorded: LabelledImages, classes: tuple[str, ...] = CLASSES) -> Record:
    """A record of one table, measured on the test split `recorded`."""
    digests = picture_digests(recorded, CLASSES)
    result = TableResult("0" * 64, {"test": fingerprint(recorded, digests)}, {}, [])
    (tmp_path / "a.json").write_text(json.dumps({"tasks": [{"classes": classes, "split": "seen", "accuracy": {}}]}))
    (tmp_path / "images-test.txt").write_text("\n".join(shortened(digests)))
    return Record("toy", tmp_path, "the toys", (Table("a", "A", "m", "t.json", "tina", recorded=result),))


def pictures(count: int, seed: int = 0) -> LabelledImages:
    images = np.random.default_rng(seed).integers(0, 256, size=(2 * count, 4, 4, 3)).astype(np.uint8)
    return LabelledImages(images, np.repeat(np.arange(2), count))


def part(data: LabelledImages, rows: Any) -> LabelledImages:
    return LabelledImages(data.images[rows], data.labels[rows])


@pytest.mark.parametrize(
    ("rows", "seed", "match", "count"),
    [
        (slice(None), 0, Match.same, 8),
        (slice(None, None, -1), 0, Match.reordered, 8),
        (slice(None, None, 2), 0, Match.found, 4),
        (slice(None), 1, Match.other, 8),
    ],
)
def test_how_pictures_relate_to_the_recorded_ones(
    tmp_path: Path, rows: Any, seed: int, match: Match, count: int
) -> None:
    here = pictures(4)
    record = record_of(tmp_path, part(pictures(4, seed), rows))
    check = check_pictures(ArrayDataset("toys", CLASSES, {"test": here}), record, record.tables)
    assert check.matches == {"test": match}
    assert len(check.dataset.load("test")) == count
    assert check.sentences[0].startswith(f"Test images: {match.value} (here 8, 4 a class, recorded {count}")


def test_a_data_set_without_a_recorded_class_is_refused(tmp_path: Path) -> None:
    record = record_of(tmp_path, pictures(4), ("ant", "zebra"))
    with pytest.raises(DataError, match=r"is not the toys: it lacks 1 of 2 classes .*'zebra'"):
        check_pictures(ArrayDataset("toys", CLASSES, {"test": pictures(4)}), record, record.tables)
