"""Photographs from folders and tar files, and their kept features."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from photo_tables.photographs import Photographs, features_of, read_classes
from PIL import Image
from torch import nn

from tina_framework import TargetArchitecture
from tina_framework.errors import DataError
from tina_framework.interfaces.architecture import FrozenTrunk


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place, name in enumerate(("b", "a/1.png", "a/2.png", "b/1.png", "b/2.png", "b/note.txt")):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_bytes(picture(place))
        else:
            path.mkdir()
    return tmp_path / "pictures"


def test_a_tar_file_gives_the_same_as_its_folder(folder: Path) -> None:
    with tarfile.open(folder.parent / "pictures.tar", "w") as archive:
        archive.add(folder, arcname="./x")
    found = read_classes(folder)
    assert list(found) == ["a", "b"]
    assert [len(files) for files in found.values()] == [2, 2]
    assert read_classes(folder.parent / "pictures.tar") == found


def test_what_holds_no_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 folders with pictures"):
        read_classes(tmp_path)
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(DataError, match="cannot be read as a tar file"):
        read_classes(tmp_path / "text.tar")


def test_features_are_computed_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    calls = []

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            calls.append(len(images))
            return self.weight * images.mean(dim=(2, 3))

    trunk = FrozenTrunk("mean", Mean, (3,))
    architecture = TargetArchitecture(
        name="mean", build=lambda count: nn.Linear(3, count), input_shape=(3, 8, 8), mean=(0.5,) * 3, std=(0.5,) * 3, trunk=trunk
    )  # fmt: skip
    first = features_of(architecture, read_classes(folder))
    again = features_of(architecture, read_classes(folder))
    assert calls == [4]
    assert first.features_NE.shape == (4, 3)
    assert torch.equal(first.features_NE, again.features_NE)
    assert first.labels_N.tolist() == [0, 0, 1, 1]


def test_rows_of_a_task_have_the_slots_of_its_order() -> None:
    photographs = Photographs(("a", "b", "c"), torch.zeros(4, 2), torch.tensor([0, 2, 1, 2]))
    rows, slots = photographs.rows((2, 0))
    assert rows.tolist() == [0, 1, 3]
    assert slots.tolist() == [1, 0, 0]
