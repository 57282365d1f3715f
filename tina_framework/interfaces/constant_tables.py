"""`ConstantTables`: keep tensors that depend only on sizes, such as index tables, so that they are computed and uploaded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

import torch

__all__ = ["ConstantTables"]

T = TypeVar("T")


class ConstantTables:
    """A bounded cache of constant tables, for several threads. Copies and pickles of it are empty.

    Its owner must not return the tables themselves to callers, who could change them in place.

    Args:
        most: number of tables kept. The one that was not used for the longest time is dropped first.
    """

    def __init__(self, most: int = 64) -> None:
        self.most = most
        self._tables: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # A lock cannot be copied, and tables are quickly made again.
        return ConstantTables, (self.most,)

    def __len__(self) -> int:
        return len(self._tables)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the table of a key, e.g. of a class count and a device. `make` computes it at the first use."""
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                found: T = self._tables[key]
                return found
        # Made without the lock, as tables may need other tables. Two threads may make the same one; the first is kept.
        # Sampling runs under inference mode, and inference tensors could not be used in training later.
        with torch.inference_mode(False), torch.no_grad():
            made = make()
        with self._lock:
            made = self._tables.setdefault(key, made)
            while len(self._tables) > self.most:
                self._tables.popitem(last=False)
        return made
