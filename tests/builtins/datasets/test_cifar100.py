"""Test the data set ``cifar100``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import numpy as np
import pytest
import torchvision

from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.builtins.datasets.cifar100 import cifar100
from tina_framework.errors import DataError, DownloadError


class FakeCIFAR100:
    """A replacement of torchvision's class, with two test and four training pictures for each class."""

    base_folder = "cifar-100-python"
    calls: ClassVar[list[tuple[str, bool, bool]]] = []
    failure: ClassVar[Exception | None] = None

    def __init__(self, root: str, train: bool, download: bool) -> None:
        type(self).calls.append((root, train, download))
        if type(self).failure is not None:
            raise type(self).failure
        (Path(root) / self.base_folder).mkdir(parents=True, exist_ok=True)
        number = 4 if train else 2
        self.classes = [name.replace(" ", "_") for name in cifar100().class_names]
        self.targets = [int(label) for label in np.tile(np.arange(100), number)]
        self.data = np.full((100 * number, 32, 32, 3), number, dtype=np.uint8)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(torchvision.datasets, "CIFAR100", FakeCIFAR100)
    monkeypatch.setattr(FakeCIFAR100, "calls", [])
    return FakeCIFAR100


def test_names_and_superclasses_are_known_without_a_download(fake):
    data = cifar100()
    assert data.name == "cifar100"
    assert len(set(data.class_names)) == 100
    assert list(data.class_names) == sorted(data.class_names)
    assert data.superclasses is not None
    assert np.bincount(data.superclasses).tolist() == [5] * 20
    of = dict(zip(data.class_names, data.superclasses, strict=True))
    assert of["maple tree"] == of["willow tree"] != of["bus"]
    assert fake.calls == []


def test_images(fake, tmp_path):
    data = cifar100(tmp_path)
    assert data.name == f"cifar100:{tmp_path}"
    assert len(data.load("train")) == 300
    assert len(data.load("validation")) == 100
    assert np.bincount(data.load("validation").labels).tolist() == [1] * 100
    assert len(data.load("test")) == 200
    assert data.load("test").images.max() == 2
    assert fake.calls == [(str(tmp_path), True, True), (str(tmp_path), False, True)]


def test_the_download_is_announced_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        cifar100(tmp_path).load("train")
        assert "169 MB" in caplog.text
        caplog.clear()
        cifar100(tmp_path).load("test")
        assert caplog.text == ""


def test_the_default_folder(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    cifar100().load("test")
    assert fake.calls[0][0] == str(tmp_path / "cache" / "cifar100")


@pytest.mark.parametrize(
    "failure", [URLError("no route"), RuntimeError("File not found or corrupted."), TimeoutError("late")]
)
def test_no_network(fake, tmp_path, monkeypatch, failure):
    monkeypatch.setattr(fake, "failure", failure)
    with pytest.raises(DownloadError, match=r"could not be downloaded .*arrays:FILE\.npz"):
        cifar100(tmp_path).load("train")


def test_something_else_in_the_folder(fake, tmp_path, monkeypatch):
    monkeypatch.setattr("tina_framework.builtins.datasets.cifar100.readable", lambda name: "x")
    with pytest.raises(DataError, match="are not CIFAR-100"):
        cifar100(tmp_path).load("train")


@pytest.mark.slow
@pytest.mark.cifar100
def test_the_table_is_that_of_the_real_file(cifar100_path):
    real = arrays(cifar100_path)
    assert (real.class_names, real.superclasses) == (cifar100().class_names, cifar100().superclasses)
