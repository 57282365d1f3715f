"""Requests to stop a run: signals and the time limit."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from tina_framework.training.interrupt import StopRequest

ALONE = SimpleNamespace(num_processes=1)


def test_without_signal_and_limit_a_run_continues() -> None:
    assert not StopRequest(ALONE, None).agreed()
    assert not StopRequest(ALONE, 1000.0).agreed()


def test_a_time_limit_stops() -> None:
    stop = StopRequest(ALONE, 1e-9)
    assert stop.agreed()
    assert stop.reason == "max_seconds=1e-09 have passed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop = StopRequest(ALONE, None)
    with stop.listening():
        os.kill(os.getpid(), number)
        assert stop.agreed()
        assert stop.reason == f"{number.name} received"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_processes_stop_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tina_framework.training.interrupt.gather_object", lambda own: [*own, "SIGTERM received"])
    stop = StopRequest(SimpleNamespace(num_processes=2), None)
    assert stop.agreed()
    assert stop.reason == "SIGTERM received"


def test_other_threads_leave_the_handlers_alone() -> None:
    before, inside = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with StopRequest(ALONE, None).listening():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert inside == [before]
