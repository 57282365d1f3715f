"""Place the values of a network in one block of memory, so that values that are never needed together share bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Lifetime", "placed"]


@dataclass(frozen=True)
class Lifetime:
    """A value in memory.

    Attributes:
        size: bytes.
        first: the step that writes it.
        last: the last step that reads it.
    """

    size: int
    first: int
    last: int


def placed(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Return the offset of each value, and the size of the block.

    The largest values are placed first, each at the lowest free offset (Pisarchyk & Lee 2020, arXiv 2001.03288, greedy by size).
    """
    offsets: dict[int, int] = {}
    for number in sorted(range(len(lifetimes)), key=lambda i: -lifetimes[i].size):
        value = lifetimes[number]
        taken = sorted(
            (offsets[i], offsets[i] + lifetimes[i].size)
            for i in offsets
            if lifetimes[i].first <= value.last and value.first <= lifetimes[i].last
        )
        offset = 0
        for start, end in taken:
            if start >= offset + value.size:
                break
            offset = max(offset, end)
        offsets[number] = offset
    block = max((offsets[i] + lifetimes[i].size for i in offsets), default=0)
    return [offsets[i] for i in range(len(lifetimes))], block
