"""Registries of folders: what a target may be, and where it is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.plugin.folder_registry import FolderRegistry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fake_folders"
    (folder / "pretrained" / "one-2.0").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fake_folders", raising=False)
    return folder


def test_a_folder_of_a_package_is_looked_up_only_when_it_is_used(package: Path) -> None:
    registry = FolderRegistry("generator")
    registry.add("one", "fake_folders:pretrained/one-2.0", distribution="fake-folders")
    assert registry.describe() == [
        {"name": "one", "distribution": "fake-folders", "target": "fake_folders:pretrained/one-2.0"}
    ]
    assert "fake_folders" not in sys.modules
    assert registry.target("one") == registry.create("one") == package / "pretrained" / "one-2.0"


def test_the_package_of_a_folder(package: Path, tmp_path: Path) -> None:
    registry = FolderRegistry("generator")
    registry.add("deep", "fake_folders:pretrained/one-2.0")
    registry.add("shallow", "fake_folders:pretrained")
    registry.add("loose", tmp_path)
    assert registry.package_folder("deep") == registry.package_folder("shallow") == package
    assert registry.package_folder("loose") is None
    with pytest.raises(UnknownNameError):
        registry.package_folder("other")


def test_a_path_is_a_target_if_it_is_absolute(tmp_path: Path) -> None:
    registry = FolderRegistry("zoo")
    registry.add("mine", tmp_path)
    assert registry.target("mine") == tmp_path
    assert registry.describe() == [{"name": "mine", "distribution": "", "target": str(tmp_path)}]
    with pytest.raises(
        PluginError, match=r"Zoo 'other' has the target 'models/x', which is a relative path; write Path\("
    ):
        registry.add("other", Path("models/x"))


@pytest.mark.parametrize(
    "target",
    [
        "models",
        "package:",
        "package:../x",
        "package:a/../b",
        "package:/etc",
        "package:a//b",
        "a b:c",
        ":a",
        "p:a\\b",
        5,
        None,
    ],
)
def test_other_targets_are_refused(target: object) -> None:
    registry = FolderRegistry("generator")
    with pytest.raises(PluginError, match=r"give a string 'package:folder/inside' or an absolute pathlib\.Path"):
        registry.add("wrong", target)
    assert registry.names() == []


def test_a_missing_folder_and_a_missing_package_are_named(package: Path) -> None:
    registry = FolderRegistry("generator")
    registry.add("absent", "fake_folders:pretrained/two", distribution="fake-folders")
    registry.add("gone", "fake_gone:pretrained", distribution="fake-gone")
    with pytest.raises(
        PluginError, match=r"^Generator 'absent' of 'fake-folders' points at .* no such folder; reinstall"
    ):
        registry.target("absent")
    with pytest.raises(
        PluginError, match=r"'gone' of 'fake-gone' lies in the package 'fake_gone', which cannot be imported"
    ):
        registry.target("gone")


@pytest.mark.parametrize("code", ["raise ValueError('no')", "raise SystemExit(0)", "import os; os._exit(0)"])
def test_a_package_that_cannot_be_imported_ends_nothing(package: Path, code: str) -> None:
    (package / "__init__.py").write_text(code)
    registry = FolderRegistry("generator")
    registry.add("one", "fake_folders:pretrained/one-2.0", distribution="fake-folders")
    with pytest.raises(PluginError, match="Generator 'one' of 'fake-folders'"):
        registry.target("one")


def test_a_folder_takes_no_argument(tmp_path: Path) -> None:
    registry = FolderRegistry("generator")
    registry.add("mine", tmp_path)
    with pytest.raises(ConfigError, match="Generator 'mine' takes no argument, but got 'x'"):
        registry.create("mine:x")
    with pytest.raises(UnknownNameError, match=r"Unknown generator 'mein'\. Did you mean 'mine'\?"):
        registry.create("mein")
