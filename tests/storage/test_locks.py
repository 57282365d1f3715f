from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError
from tina_framework.storage.locks import LOCK, folder_lock, holder_of, is_held

HOLDER = """
import sys, time
from pathlib import Path
from tina_framework.storage.locks import folder_lock
with folder_lock(Path(sys.argv[1]), "builds a zoo"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "zoo"
    with folder_lock(folder, "builds a zoo"):
        with (
            pytest.raises(ConfigError, match=r"is in use: process \d+ on '.*' builds a zoo since 20"),
            folder_lock(folder, "builds a zoo"),
        ):
            pass
        assert (folder / LOCK).is_file()
    with folder_lock(folder, "trains"):
        assert "trains" in holder_of(folder)


def test_the_lock_of_a_killed_process_is_released(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match=f"process {holder.pid} "), folder_lock(tmp_path, "trains"):
        pass
    holder.kill()
    holder.wait()
    with folder_lock(tmp_path, "trains"):
        pass


def test_waiting_says_for_whom_and_ends(tmp_path: Path) -> None:
    said: list[str] = []

    def hold() -> None:
        with folder_lock(tmp_path, "builds a zoo"):
            ready.set()
            done.wait(30)

    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(30)
    begin = time.monotonic()
    with (
        pytest.raises(ConfigError, match="Wait until that process has ended"),
        folder_lock(tmp_path, "trains", timeout=0.5, notify=said.append),
    ):
        pass
    assert 0.4 < time.monotonic() - begin < 20
    assert len(said) == 1
    assert "builds a zoo" in said[0]
    assert "Waiting up to 0.5 s" in said[0]
    done.set()
    with folder_lock(tmp_path, "trains", timeout=30):
        pass
    thread.join()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be created"), folder_lock(tmp_path / "file" / "zoo", "trains"):
        pass


def test_a_damaged_note_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text('{"use": 3')
    with folder_lock(tmp_path, "trains"):
        pass
    (tmp_path / LOCK).write_text("[1]")
    assert holder_of(tmp_path) == "another process writes into it"


@pytest.mark.parametrize("kind", ["link", "dangling", "loop", "folder", "pipe"])
def test_what_is_no_lock_file_is_named(tmp_path: Path, kind: str) -> None:
    folder, other = tmp_path / "zoo", tmp_path / "other"
    folder.mkdir()
    place = folder / LOCK
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        if kind == "link":
            other.write_text("precious")
        place.symlink_to({"link": other, "dangling": other, "loop": place}[kind])
    with (
        pytest.raises(ConfigError, match=r"has to be the lock file of its folder\. Remove it"),
        folder_lock(folder, "x"),
    ):
        pass
    assert not is_held(folder)
    assert holder_of(folder) == "another process writes into it"  # without waiting for a pipe
    assert (other.read_text() if kind == "link" else "precious") == "precious"
