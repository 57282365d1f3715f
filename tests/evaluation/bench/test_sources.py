"""What the argument of a method names, and whether it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tina_framework.evaluation.bench.sources import source_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "weights.safetensors").write_text("w")
    (made / "card.md").write_text("c")
    return made


def test_what_names_no_place_has_no_digest() -> None:
    assert source_digest(None) == source_digest("ddpm:1000") == source_digest("0.5") == source_digest("a\0b") == ""


def test_a_registered_name_has_the_digest_of_its_folder() -> None:
    assert source_digest("cifar100-cnn") not in ("", source_digest("cifar100-zoo"))


def test_settings_weights_and_the_place_count(folder: Path, tmp_path: Path) -> None:
    first = source_digest(str(folder))
    assert first == source_digest(str(folder / ".." / "made"))
    (folder / "card.md").write_text("another")
    os.utime(folder / "config.json", ns=(0, 0))
    assert source_digest(str(folder)) == first
    (folder / "config.json").write_text('{"a": 1}')
    second = source_digest(str(folder))
    os.utime(folder / "weights.safetensors", ns=(0, 0))
    third = source_digest(str(folder))
    assert len({first, second, third, source_digest(str(folder / "config.json"))}) == 4
    folder.rename(tmp_path / "moved")
    assert source_digest(str(tmp_path / "moved")) != third
