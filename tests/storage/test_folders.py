"""Model folders: format and version, hashes, and replacing a folder as a whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.folders import (
    CONFIG,
    check_hash,
    check_target,
    contents,
    hashes,
    holds_only,
    is_folder_of,
    read_config,
    writing_folder,
)


def write(folder: Path, **values: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"format": "toy", "format_version": 1, **values}))
    renew_digest(folder / CONFIG)
    return folder


def test_format_and_version_are_checked(tmp_path: Path) -> None:
    folder = write(tmp_path / "toy", size=3)
    assert read_config(folder, "toy", 1, "files")["size"] == 3
    with pytest.raises(CheckpointError, match="its format is 'toy'"):
        read_config(folder, "other", 1, "files")
    with pytest.raises(CheckpointError, match="format_version 1, but this program reads version 2"):
        read_config(folder, "toy", 2, "files")
    with pytest.raises(CheckpointError, match=r"has no config\.json, so it is not a toy folder, which needs files"):
        read_config(tmp_path, "toy", 1, "files")


def test_an_altered_file_is_found_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    recorded = {"sha256": hashes(file)}
    check_hash(file, recorded)
    file.write_bytes(b"two")
    with pytest.raises(CheckpointError, match="was altered"):
        check_hash(file, recorded)
    with pytest.raises(CheckpointError, match="records no SHA-256 of weights"):
        check_hash(file, {})


def test_only_a_folder_of_the_format_may_be_replaced(tmp_path: Path) -> None:
    folder = write(tmp_path / "toy")
    assert is_folder_of(folder, "toy")
    assert not is_folder_of(tmp_path, "toy")
    assert holds_only(folder, "toy", frozenset({CONFIG}))
    for litter in (".DS_Store", "Thumbs.db", "._config.json"):
        (folder / litter).write_text("of a file manager")
    assert holds_only(folder, "toy", frozenset({CONFIG}))
    assert contents(folder) == [folder / CONFIG]
    (folder / "notes.txt").write_text("mine")
    assert not holds_only(folder, "toy", frozenset({CONFIG}))


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "toy"
    with writing_folder(target, lambda path: False, "toy") as new:
        (new / "a").write_text("1")
    assert (target / "a").read_text() == "1"

    def fail_half_way() -> None:
        with writing_folder(target, lambda path: True, "toy") as new:
            (new / "b").write_text("2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert [path.name for path in target.iterdir()] == ["a"]
    with writing_folder(target, lambda path: True, "toy") as new:
        (new / "b").write_text("2")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_what_holds_something_else_is_refused_before_the_work(tmp_path: Path) -> None:
    check_target(tmp_path / "new", lambda path: False, "toy")
    check_target(tmp_path, lambda path: False, "toy")  # empty
    (tmp_path / ".DS_Store").touch()
    check_target(tmp_path, lambda path: False, "toy")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a toy folder"):
        check_target(tmp_path, lambda path: False, "toy")
    with pytest.raises(ConfigError, match="is not a folder"):
        check_target(tmp_path / "notes.txt", lambda path: True, "toy")


def test_a_folder_that_another_writer_replaces_during_the_check_is_looked_at_again(tmp_path: Path) -> None:
    target = tmp_path / "toy"
    target.mkdir()
    (target / "a").write_text("1")
    answers = []

    def may_replace(path: Path) -> bool:
        if not answers:  # the other writer moves the old folder away, so its settings are missing for a moment
            path.rename(tmp_path / "old")
            answers.append(is_folder_of(path, "toy"))
            path.mkdir()
            (path / "config.json").write_text('{"format": "toy"}')
        else:
            answers.append(is_folder_of(path, "toy"))
        return answers[-1]

    check_target(target, may_replace, "toy")
    assert answers == [False, True]


def test_a_link_to_itself_is_refused_with_a_sentence(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    # Until Python 3.12, `Path.resolve` raises an error for such a link. From 3.13 on it returns the link, and writing fails.
    reason = r"cannot be written \((Too many levels of symbolic links|File exists)\)|exists and is not a folder"
    for path in (loop, loop / "inside"):
        with (
            pytest.raises(ConfigError, match=reason),
            writing_folder(path, lambda path: True, "test"),
        ):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_a_full_disk_is_reported_with_the_name_of_the_outer_folder(tmp_path: Path) -> None:
    def anything(path: Path) -> bool:
        return True

    with (
        pytest.raises(ConfigError, match=f"'{tmp_path / 'out'}' cannot be written \\(No space left on device\\)"),
        writing_folder(tmp_path / "out", anything, "test") as outer,
        writing_folder(outer, anything, "test"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())
