"""Threads that each run whole networks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["worker_threads"]


def worker_threads(count: int) -> ThreadPoolExecutor:
    """Return a pool of threads in which an operation of torch uses one core.

    By default every thread that calls torch starts a team of its own, with one thread for each core. Two threads that run
    networks on two cores then compete with four, and each team waits actively for its last member.

    Args:
        count: number of threads.

    Raises:
        RuntimeError: the system does not allow so many threads.
    """
    own = torch.get_num_threads()
    started = threading.Barrier(count + 1)

    def start() -> None:
        torch.get_num_threads()  # at its first use of torch a thread takes over the default, which would replace the 1
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="networks", initializer=start)
    try:
        for _ in range(count):
            pool.submit(lambda: None)
    except RuntimeError:
        started.abort()  # those that did start would wait forever, and Python would wait for them at its end
        raise
    started.wait()
    # `set_num_threads` also sets the default of threads that are started later, which is not for this pool to change.
    torch.set_num_threads(own)
    return pool
