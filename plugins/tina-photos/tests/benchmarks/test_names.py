"""The rules that say what a table may call new, and the texts of the classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from photo_tables.names import halves, leaks, read_names, same_name_as, spellings, synonyms

from tina_framework.errors import DataError

CALTECH = Path(__file__).resolve().parents[2] / "benchmarks" / "caltech.json"
LABELS = [
    "cellular telephone, cellphone, mobile phone",
    "starfish, sea star",
    "tench, Tinca tinca",
    "sunglasses, shades",
]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("cell phone", True),
        ("Cell-Phones", True),
        ("sea stars", True),
        ("star", False),
        ("phone", False),
        ("shade", True),
        ("sunglass", False),
        ("mobile", False),
    ],
)
def test_a_name_is_known_by_any_synonym_in_singular_or_plural(name: str, known: bool) -> None:
    words = [spellings(word) for label in LABELS for word in synonyms(label)]
    assert same_name_as(name, words) is known


def test_leaks_are_equal_names_and_near_vectors() -> None:
    angle = np.deg2rad([0.0, 90.0, 20.0, 30.0])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    labels = ["far away, starfish", "something else", "near by", "not so near"]
    # The cosine of 20 degrees is 0.94 and that of 30 degrees 0.87.
    assert leaks(labels, vectors, ["Starfishes"], vectors[:1]).tolist() == [True, False, True, False]
    assert leaks(labels, vectors, ["star fish"], vectors[1:2]).tolist() == [True, True, False, False]


def test_the_halves_share_no_class() -> None:
    assert halves(5) == ([0, 2, 4], [1, 3])


def test_descriptions_do_not_contain_the_name() -> None:
    table = json.loads(CALTECH.read_text(encoding="utf-8"))
    assert len(table) == 44
    for entry in table.values():
        words = entry["description"].lower().split()
        assert not set(entry["name"].split()) & set(words), entry["name"]


def test_a_class_without_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"a": {"name": "a", "description": "b"}}')
    assert read_names(tmp_path / "names.json", ["a"])[0].description == "b"
    with pytest.raises(DataError, match="no name and description of the class 'c'"):
        read_names(tmp_path / "names.json", ["a", "c"])
