from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from tina_framework.errors import CheckpointError
from tina_framework.storage import exchange
from tina_framework.storage.exchange import put_in_place, read_consistently, restore_missing
from tina_framework.storage.temporary import OLD, sweep, temporary_name


@pytest.fixture(params=["one step", "two steps"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "two steps":  # as on systems that cannot exchange folders
        monkeypatch.setattr(exchange, "_exchanger", lambda: None)


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "text").write_text(text)
    return path


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.usefixtures("_way")
def test_a_folder_takes_an_empty_or_a_full_place(tmp_path: Path) -> None:
    for text in ("first", "second", "third"):
        put_in_place(folder(tmp_path / "new", text), tmp_path / "place")
        assert (tmp_path / "place" / "text").read_text() == text
        assert names(tmp_path) == ["place"]


@pytest.mark.usefixtures("_way")
def test_a_file_in_the_place_is_kept(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("mine")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        put_in_place(folder(tmp_path / "new", "x"), tmp_path / "place")
    assert (tmp_path / "place").read_text() == "mine"


@pytest.mark.usefixtures("_way")
def test_writers_in_two_threads_leave_one_whole_folder(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for turn in range(40):
            put_in_place(folder(tmp_path / f"new-{number}-{turn}", "whole"), tmp_path / "place")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "place" / "text").read_text() == "whole"
    sweep(tmp_path / "place")  # in two steps, a folder can stay aside until the next writer comes
    assert names(tmp_path) == ["place"]


def test_readers_always_see_a_folder(tmp_path: Path) -> None:
    if exchange._exchanger() is None:
        pytest.skip("this system cannot exchange two folders in one operation")
    place = folder(tmp_path / "place", "old")
    done, seen = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            seen.append(place.is_dir())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        put_in_place(folder(tmp_path / f"new-{turn}", "new"), place)
    done.set()
    reader.join()
    assert seen
    assert all(seen)


def test_a_folder_that_a_killed_process_moved_aside_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "place"
    folder(temporary_name(place, OLD), "old")
    assert read_consistently(place, lambda path: (path / "text").read_text()) == "old"
    assert names(tmp_path) == ["place"]
    restore_missing(tmp_path / "never there")
    assert names(tmp_path) == ["place"]


def test_reading_is_repeated_if_the_folder_was_replaced_meanwhile(tmp_path: Path) -> None:
    place, calls = folder(tmp_path / "place", "old"), []

    def read(path: Path) -> str:
        calls.append(path)
        if len(calls) == 1:
            put_in_place(folder(tmp_path / "new", "new"), place)
            raise CheckpointError("settings and weights do not belong together")
        return (path / "text").read_text()

    assert read_consistently(place, read) == "new"

    def fail(path: Path) -> str:
        raise CheckpointError("damaged")

    with pytest.raises(CheckpointError, match="damaged"):
        read_consistently(place, fail)


def test_a_folder_that_may_not_be_replaced_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(first: Path, second: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(second))

    monkeypatch.setattr(exchange, "_exchange", refuse)
    place = folder(tmp_path / "place", "old")
    with pytest.raises(PermissionError):
        put_in_place(folder(tmp_path / "new", "new"), place)
    assert (place / "text").read_text() == "old"


def test_a_folder_that_another_writer_moves_away_in_between_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, place = folder(tmp_path / "new", "new"), folder(tmp_path / "place", "old")
    rename = Path.rename

    def fail_once(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        rename(place, tmp_path / "aside")
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(target))

    monkeypatch.setattr(Path, "rename", fail_once)
    put_in_place(new, place)
    assert (place / "text").read_text() == "new"


def test_what_may_not_be_read_is_refused_with_a_sentence(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with pytest.raises(CheckpointError, match=r"cannot be read \(Permission denied\)\. Give yourself the right"):
        read_consistently(tmp_path, refuse)
