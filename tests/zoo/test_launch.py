"""Processes of one launch find each other; those of another one are refused, and missing ones are named."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from tina_framework.errors import ConfigError, TrainingError
from tina_framework.storage.files import write_json
from tina_framework.storage.locks import LOCK, folder_lock
from tina_framework.zoo import launch
from tina_framework.zoo.launch import LAUNCH, Launch, sharing

ZERO, ONE = Launch(0, 2, "a"), Launch(1, 2, "a")


def share(folder, who, *, wait=0.0, timeout=20.0, notify=lambda text: None):
    return sharing(folder, who, wait=wait, timeout=timeout, notify=notify)


@pytest.mark.parametrize(
    ("rank", "world"), [("x", "2"), ("2", "2"), ("-1", "2"), ("1", ""), ("0", "9" * 5000), ("0", "0")]
)
def test_variables_that_make_no_sense(monkeypatch, rank, world):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ConfigError, match="do not name one of several processes"):
        Launch.from_environment()


def test_the_identity_is_that_of_the_launch(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert (Launch.from_environment().rank, Launch.from_environment().world) == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = []
    for rank, port in (("0", "29500"), ("1", "29500"), ("1", "29501")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("MASTER_PORT", port)
        found.append(Launch.from_environment().identity)
    assert found[0] == found[1] != found[2]


def test_two_processes_share_and_leave_nothing_but_locks(tmp_path):
    with share(tmp_path, ZERO):
        with share(tmp_path, ONE) as partners:
            partners.check()
        with pytest.raises(ConfigError, match="is in use: process"), share(tmp_path, Launch()):
            pass
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_one_rank_twice_is_refused(tmp_path):
    with (
        share(tmp_path, ZERO),
        share(tmp_path, ONE),
        pytest.raises(ConfigError, match="RANK=1"),
        share(tmp_path, ONE),
    ):
        pass


def test_a_process_of_another_launch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_REFUSE_SECONDS", 0.2)
    for holder in (ZERO, Launch()):
        with (
            share(tmp_path, holder),
            pytest.raises(ConfigError, match="a build that this process does not belong to: process"),
            share(tmp_path, Launch(1, 2, "b")),
        ):
            pass


def test_process_0_that_never_comes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_NOTICE_SECONDS", 0.1)
    said = []
    with (
        pytest.raises(TrainingError, match=r"Process 0 \(RANK=0 of 2 processes\) showed no sign of work for 0\.5 s"),
        share(tmp_path / "new", ONE, timeout=0.5, notify=said.append),
    ):
        pass
    assert said == ["Waiting for the start of process 0 (RANK=0 of 2 processes), up to 0.5 s without a sign of work."]
    assert not (tmp_path / "new").exists()


def test_a_partner_that_works_is_waited_for(tmp_path, monkeypatch):
    """It may take longer than the limit as long as it shows signs of work."""
    monkeypatch.setattr(launch, "_TOUCH_SECONDS", 0.1)
    file = tmp_path / "shard"
    with share(tmp_path, ZERO, timeout=0.6) as partners:

        def work():
            with share(tmp_path, ONE):
                time.sleep(1.5)
                file.touch()

        thread = threading.Thread(target=work)
        thread.start()
        partners.wait(1, "shard 1", file, file.is_file)
        thread.join()
        with pytest.raises(
            TrainingError, match=r"Process 1 .* showed no sign of work for 0\.6 s, and shard 3 is missing"
        ):
            partners.wait(1, "shard 3", tmp_path / "other", lambda: False)


def test_a_process_whose_leader_was_replaced_stops(tmp_path):
    write_json(tmp_path / LAUNCH, {"launch": "a"})
    with share(tmp_path, ONE) as partners:
        partners.check()
        with folder_lock(tmp_path, "builds a zoo"):
            (tmp_path / LAUNCH).unlink()
            with pytest.raises(ConfigError, match="another build uses"):
                partners.check()


def test_a_leader_that_was_started_again_is_the_same(tmp_path):
    """As after a kill, when a launcher starts all processes again, and this one is the first."""
    write_json(tmp_path / LAUNCH, {"launch": "a"})
    with share(tmp_path, ONE) as partners, share(tmp_path, ZERO):
        partners.check()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell whether a lock is held")
@pytest.mark.parametrize(("lost", "what"), [(ZERO, "the generic model"), (ONE, "shard 7")], ids=["rank 0", "rank 1"])
def test_a_partner_that_ends_is_named_long_before_the_time_limit(tmp_path, monkeypatch, lost, what):
    monkeypatch.setattr(launch, "_ENDED_SECONDS", 0.5)
    ended = threading.Event()

    def leave():
        # The file of a killed process stays, so the removal of it is undone.
        with share(tmp_path, lost):
            ended.wait(20)
        write_json(tmp_path / LAUNCH, {"launch": "a"})

    thread = threading.Thread(target=leave)
    if lost is ZERO:
        thread.start()
        with share(tmp_path, ONE, timeout=60) as partners:
            threading.Timer(0.3, ended.set).start()
            begin = time.monotonic()
            with pytest.raises(TrainingError, match=f"Process 0 .* has ended and left {what} unfinished"):
                partners.wait(0, what, tmp_path / "zoo.json", lambda: False)
    else:
        with share(tmp_path, ZERO, timeout=60) as partners:
            thread.start()
            threading.Timer(0.5, ended.set).start()
            begin = time.monotonic()
            with pytest.raises(TrainingError, match=f"Process 1 .* has ended and left {what} unfinished"):
                partners.wait(1, what, tmp_path / "shard", lambda: False)
    thread.join()
    assert time.monotonic() - begin < 10


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell whether a lock is held")
def test_a_process_that_is_done_says_that_nobody_finishes_the_zoo(tmp_path):
    ended = threading.Event()

    def lead():
        with share(tmp_path, ZERO):
            ended.wait(20)
        write_json(tmp_path / LAUNCH, {"launch": "a"})

    thread = threading.Thread(target=lead)
    thread.start()
    with share(tmp_path, ONE) as partners:
        partners.check_leader(tmp_path / "index.json")
        ended.set()
        thread.join()
        with pytest.raises(TrainingError, match="ended before the zoo was complete, so it has no index"):
            partners.check_leader(tmp_path / "index.json")
        (tmp_path / "index.json").touch()
        partners.check_leader(tmp_path / "index.json")


def test_locks_that_are_never_seen_say_nothing(tmp_path, monkeypatch):
    """Some shared file systems keep locks within each machine. Then only files that are touched show that a partner works."""
    monkeypatch.setattr(launch, "is_held", lambda folder, name=LOCK: False)
    monkeypatch.setattr(launch, "_ENDED_SECONDS", 0.1)
    file = tmp_path / "shard"
    with share(tmp_path, ZERO) as partners:

        def work():
            with share(tmp_path, ONE) as partners:
                time.sleep(0.8)
                file.touch()
                partners.check_leader(tmp_path / "index.json")

        thread = threading.Thread(target=work)
        thread.start()
        partners.wait(1, "shard 1", file, file.is_file)
        thread.join()
