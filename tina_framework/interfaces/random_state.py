"""Draw from torch's global random numbers without changing them for the caller."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

import torch

__all__ = ["seeded_random_state"]

_LOCK = threading.RLock()


@contextlib.contextmanager
def seeded_random_state(seed: int, devices: Sequence[torch.device] = ()) -> Iterator[None]:
    """Seed torch's global random numbers, and restore the caller's afterwards.

    Networks draw from them in ``build`` and in dropout. All threads share them, so only one thread at a time is let in.
    Otherwise one thread would draw from the seed of another, and the caller's state would be lost.

    Args:
        seed: of the numbers that are drawn inside.
        devices: the GPUs whose numbers are seeded too.
    """
    with _LOCK, torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield
