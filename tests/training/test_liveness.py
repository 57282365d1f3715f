"""Processes that were killed, were stopped or hang are named by the others."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from tests.training.runs import finish, start_group, wait_for, words
from tina_framework.errors import TrainingError
from tina_framework.training.liveness import Watch

TIMEOUT = 4.0


@pytest.fixture
def watches() -> Iterator[list[Watch]]:
    """The watches of three processes, in one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20))
    made = [Watch(rank, 3, TIMEOUT, "test") for rank in range(3)]
    at_once([lambda watch=watch: watch.start("127.0.0.1", port) for watch in made])  # type: ignore[misc]
    yield made
    at_once([watch.close for watch in made])
    del server


def at_once(actions: list[Callable[[], Any]]) -> list[Any]:
    """Call functions in threads, and return their results, or the errors they raised."""
    results: list[Any] = [None] * len(actions)

    def call(number: int) -> None:
        try:
            results[number] = actions[number]()
        except TrainingError as error:
            results[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def silence(watch: Watch) -> None:
    """Let a watch give no more signs, as if its process had been stopped."""
    watch._publish = lambda: time.sleep(60)  # type: ignore[method-assign]
    time.sleep(1.0)  # the last sign is on its way


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_silent_process_is_named_by_all_others(watches: list[Watch], lost: int) -> None:
    watches[lost].step = 12
    time.sleep(1.0)
    silence(watches[lost])
    others = [watch for watch in watches if watch is not watches[lost]]
    said = at_once([lambda watch=watch: watch.name_lost(timed_out=False) for watch in others])  # type: ignore[misc]
    assert said == [f"Process {lost} of 3 ended at step 12, or its machine cannot be reached."] * 2


def test_after_the_time_limit_the_seconds_are_named(watches: list[Watch]) -> None:
    watches[1].step = 12
    time.sleep(1.0)
    silence(watches[1])
    time.sleep(TIMEOUT)
    said = at_once([lambda: watches[0].name_lost(timed_out=True), lambda: watches[2].name_lost(timed_out=True)])
    assert set(said) <= {f"Process 1 of 3 did not answer for {seconds} s at step 12." for seconds in (4, 5, 6)}


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_failed_is_named_first(watches: list[Watch], lost: int) -> None:
    watches[lost].step = 7
    watches[lost].close("failed")
    other = watches[2].name_lost(timed_out=False)
    assert other == f"Process {lost} of 3 ended with an error at step 7; see its message."


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_hangs_is_the_one_that_did_not_wait(watches: list[Watch], lost: int) -> None:
    others = [watch for watch in watches if watch is not watches[lost]]
    said = at_once([lambda watch=watch: watch.name_lost(timed_out=True) for watch in others])  # type: ignore[misc]
    assert said == [f"Process {lost} of 3 is alive, but did not answer for 4 s at step 0."] * 2


@pytest.mark.slow
def test_a_text_of_the_main_process_may_take_longer_than_the_time_limit(
    watches: list[Watch], capsys: pytest.CaptureFixture[str]
) -> None:
    def save() -> str:
        with watches[0].busy():
            time.sleep(2.2 * TIMEOUT)
        return watches[0].from_main("done")

    receive = [lambda: watches[1].from_main(None), lambda: watches[2].from_main(None)]
    assert at_once([save, *receive]) == ["done"] * 3
    assert "Process 1 of 3 has waited 4 s for process 0, which is still busy." in capsys.readouterr().err
    assert at_once([lambda: watches[0].from_main("ä"), *receive]) == ["ä"] * 3


def test_a_main_process_that_sends_nothing_is_named(watches: list[Watch]) -> None:
    errors = at_once([lambda: watches[1].from_main(None), lambda: watches[2].from_main(None)])
    for error in errors:
        assert isinstance(error, TrainingError)
        assert str(error).startswith("Process 0 of 3 is alive, but did not answer for 4 s at step 0. To continue, use")


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_is_named(settings: dict[str, Any], tmp_path: Path, victim: int, number: int) -> None:
    run = words(settings, max_steps=100_000, process_timeout=8)
    group = start_group([run] * 2)
    log = tmp_path / "run" / "log.jsonl"
    wait_for(lambda: log.is_file() and log.read_text().count("\n") > 2)
    begin = time.monotonic()
    group[victim].send_signal(number)
    code, error = finish([group[1 - victim]], 60)[0]
    seconds = time.monotonic() - begin
    group[victim].kill()
    group[victim].communicate()
    expected = "ended at step" if number == signal.SIGKILL else "did not answer for "
    assert code == 1
    *progress, said = error.splitlines()
    assert said.startswith(f"Error: Process {victim} of 2 {expected}")
    assert said.endswith("--resume_from_checkpoint latest.")
    assert all(line.startswith("step ") for line in progress)
    assert seconds < 30


HANG = """if True:
    import os, sys, time
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
    from tina_framework.training import checkpoint, step
    from tina_framework.training.__main__ import main
    train_step, write = step.Stepper.train_step, checkpoint.write

    def hang(self):
        if self.step == 3 and os.environ["RANK"] == "1" and sys.argv[1] == "hang":
            time.sleep(600)
        return train_step(self)

    def slow(*arguments):
        time.sleep(14 if sys.argv[1] == "slow" else 0)
        return write(*arguments)

    step.Stepper.train_step, checkpoint.write = hang, slow
    sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_process_that_hangs_is_named(settings: dict[str, Any]) -> None:
    run = [sys.executable, "-c", HANG, "hang", *words(settings, process_timeout=8)]
    group = start_group([run] * 2, program=())
    code, error = finish(group[:1], 120)[0]
    group[1].kill()
    group[1].communicate()
    assert code == 1
    assert error.splitlines()[-1].startswith("Error: Process 1 of 2 is alive, but did not answer for 8 s at step 3.")


@pytest.mark.slow
def test_saving_slowly_ends_no_process(settings: dict[str, Any]) -> None:
    run = [sys.executable, "-c", HANG, "slow", *words(settings, process_timeout=5)]
    for code, error in finish(start_group([run] * 2, program=())):
        assert code == 0, error
