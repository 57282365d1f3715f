"""Requests to stop a run: signals and the time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from tina_framework.training import interrupt
from tina_framework.training.interrupt import StopRequest, ignoring_signals

ALONE = SimpleNamespace(num_processes=1, is_main_process=True)


def test_without_signal_and_limit_a_run_continues() -> None:
    assert not StopRequest(ALONE, None).agreed([])
    assert not StopRequest(ALONE, 1000.0).agreed([])


def test_a_time_limit_stops() -> None:
    stop = StopRequest(ALONE, 1e-9)
    assert stop.agreed([])
    assert stop.reason == "max_seconds=1e-09 have passed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_ends_the_process(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(interrupt, "_end_at_once", ended.append)
    before = signal.getsignal(number)
    stop = StopRequest(ALONE, None)
    with stop.listening():
        os.kill(os.getpid(), number)
        assert stop.agreed([])
        assert (stop.reason, stop.exit_code) == (f"{number.name} received", 128 + number)
        assert f"{number.name}: the run stops after this step and saves." in capfd.readouterr().err
        os.kill(os.getpid(), number)
        assert ended == []  # a launcher passed on the same request
        monkeypatch.setattr(interrupt, "_SAME_REQUEST_SECONDS", 0.0)
        os.kill(os.getpid(), number)
        assert ended == [number]
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_even_what_catches_exceptions() -> None:
    code = """if True:
        import os, signal, types
        from tina_framework.training import interrupt
        interrupt._SAME_REQUEST_SECONDS = 0.0
        alone = types.SimpleNamespace(num_processes=1, is_main_process=True)
        with interrupt.StopRequest(alone, None).listening():
            os.kill(os.getpid(), signal.SIGINT)
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except BaseException:
                print("caught")
        print("went on")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "")


def test_processes_stop_together() -> None:
    two = SimpleNamespace(num_processes=2, is_main_process=False)
    stop = StopRequest(two, None)
    assert not stop.agreed([0, 0])
    assert stop.agreed([0, int(signal.SIGTERM)])
    assert (stop.reason, stop.exit_code) == ("SIGTERM received", 143)
    late = StopRequest(two, 1e-9)
    assert late.own() == -1
    # This process wants to stop, but the others do not know yet.
    assert not late.agreed([0, 0])
    assert late.agreed([late.own(), 0])
    assert (late.reason, late.exit_code) == ("max_seconds=1e-09 have passed", 0)


def test_other_threads_leave_the_handlers_alone() -> None:
    before, inside = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with StopRequest(ALONE, None).listening():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert inside == [before]


def test_signals_that_come_late_do_nothing() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with ignoring_signals():
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
