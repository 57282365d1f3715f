"""Threads that each run whole networks."""

import threading
import time

import pytest
import torch

from tina_framework.targets.worker_threads import worker_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_each_thread_uses_one_core(two_threads):
    with worker_threads(3) as pool:
        assert list(pool.map(lambda _: torch.get_num_threads(), range(6))) == [1] * 6


def test_other_threads_keep_their_number(two_threads):
    found = []
    with worker_threads(2):
        assert torch.get_num_threads() == 2
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert found == [2]


def test_the_pool_runs_as_many_calls_at_once(two_threads):
    meet = threading.Barrier(3, timeout=30)
    with worker_threads(3) as pool:
        assert sorted(pool.map(lambda _: meet.wait(), range(3))) == [0, 1, 2]


def test_too_many_threads_leave_none_behind(monkeypatch):
    before, start = threading.active_count(), threading.Thread.start

    def refuse(thread):
        if thread.name.endswith("_2"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        worker_threads(4)
    end = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before
