from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tina_framework.storage.temporary import (
    leftovers,
    remove,
    sweep,
    sweep_folder,
    temporary_file,
    temporary_folder,
    temporary_name,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from tina_framework.storage.temporary import temporary_file, temporary_folder
with temporary_file(Path(sys.argv[1])) as (path, handle), temporary_folder(Path(sys.argv[1])) as folder:
    path.write_text("half")
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_names_are_random_and_hidden(tmp_path: Path) -> None:
    found = {temporary_name(tmp_path / "a") for _ in range(50)}
    assert len(found) == 50
    assert all(path.parent == tmp_path and path.name.startswith(".a.") for path in found)


def test_both_are_removed_at_the_end(tmp_path: Path) -> None:
    with temporary_file(tmp_path / "a") as (path, _), temporary_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("1")
        assert path.is_file()
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells leftovers by their age")
def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a"], check=False)
    assert len(leftovers(tmp_path / "a")) == 2
    sweep(tmp_path / "other")
    assert len(names(tmp_path)) == 2
    sweep(tmp_path / "a")
    assert names(tmp_path) == []


def test_what_a_living_writer_holds_is_kept(tmp_path: Path) -> None:
    with temporary_file(tmp_path / "a") as (path, _), temporary_folder(tmp_path / "a") as folder:
        sweep(tmp_path / "a")
        assert path.exists()
        assert folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells leftovers by their age")
def test_what_another_machine_may_be_writing_is_kept_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock may not be seen here, so that a missing lock says nothing."""
    monkeypatch.setattr("socket.gethostname", lambda: "node-2")
    path = temporary_name(tmp_path / "a")
    path.write_text("half")
    monkeypatch.setattr("socket.gethostname", lambda: "node-1")
    sweep(tmp_path / "a")
    sweep_folder(tmp_path)
    assert path.exists()
    os.utime(path, (0, 0))
    sweep(tmp_path / "a")
    assert not path.exists()


def test_a_folder_that_was_just_removed_is_made_again(tmp_path: Path) -> None:
    with temporary_file(tmp_path / "models" / "a") as (path, _):
        assert path.is_file()


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    mine = [".a.partial", ".a.b.0123456789ab.partial", ".a.0123456789ab.partial.txt", "a.0123456789ab.partial"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    sweep(tmp_path / "a")
    assert names(tmp_path) == sorted([*mine, "a"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o002, 0o664), (0o022, 0o644)])
def test_the_mode_follows_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        with temporary_file(tmp_path / "a") as (path, _):
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "gone")
    (tmp_path / "link").symlink_to(tmp_path)
    remove(tmp_path / "link")
    assert tmp_path.is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells leftovers by their age")
def test_a_temporary_folder_of_a_temporary_folder_is_swept(tmp_path: Path) -> None:
    inner = temporary_name(temporary_name(tmp_path / "a"))
    inner.mkdir()
    (tmp_path / f".{inner.name.removeprefix('..')}").mkdir()  # one dot, two numbers: a name of another program
    sweep(tmp_path / "a")
    assert names(tmp_path) == [f".{inner.name.removeprefix('..')}"]
