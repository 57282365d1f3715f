"""Numbers of shards, as users write them (``--shards 3:8``) and as messages list them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tina_framework.errors import ConfigError, shorten

__all__ = ["in_words", "option_for", "parse_shards"]

_DIGITS = 18
"""Longer numbers may exceed the limits of `range`, and no zoo has so many shards."""

_RANGE = re.compile(rf"(\d{{0,{_DIGITS}}}):(\d{{0,{_DIGITS}}})(?::(\d{{0,{_DIGITS}}}))?", re.ASCII)


def parse_shards(text: str, num_shards: int) -> range:
    """Return the shards that a text names, as a slice in Python does.

    Args:
        text: ``3`` (one shard), ``3:8`` (3 to 7), ``3:``, ``:8``, or ``3::16`` (every 16th from 3 on).
        num_shards: how many shards the zoo has. A range may reach beyond the last one, as in Python. So an array of jobs
            need not know the exact number.

    Raises:
        ConfigError: it is no such text, the range is reversed, or a single shard does not exist.
    """
    text = text.strip()
    if re.fullmatch(rf"\d{{1,{_DIGITS}}}", text, re.ASCII):
        number = int(text)
        if number >= num_shards:
            raise ConfigError(
                f"There is no shard {number}: the zoo has {_count(num_shards)}{_last(num_shards)}. Choose one of these."
            )
        return range(number, number + 1)
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"The shards are {shorten(text)}; expected a number or a range such as 3, 3:8 (3 to 7), 3: or 3::16 "
            "(every 16th from 3 on)."
        )
    start, stop = int(found[1] or 0), int(found[2]) if found[2] else num_shards
    step = int(found[3]) if found[3] else 1
    if step == 0 or (found[2] and stop < start):
        raise ConfigError(
            f"The shards {text} are {'a range with step 0' if step == 0 else 'a reversed range'}; "
            "write the smaller number first, and a step from 1 up."
        )
    return range(*slice(start, stop, step).indices(num_shards))


def _count(num_shards: int) -> str:
    return f"{num_shards} shard" + ("" if num_shards == 1 else "s")


def _last(num_shards: int) -> str:
    return f", 0 to {num_shards - 1}" if num_shards > 1 else ", number 0" if num_shards else ""


def in_words(shards: Sequence[int], most: int = 8) -> str:
    """Return ``shard 3``, ``shards 3 and 7`` or ``shards 0 to 4, 7 and 9``. Of many pieces, only the first are named."""
    # Two neighbours are named one by one: "3 to 4" would be no shorter than "3 and 4".
    runs = [part for run in _runs(shards) for part in ([run] if len(run) > 2 else [[shard] for shard in run])]
    pieces = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:most]]
    left = sum(len(run) for run in runs[most:])
    if left:
        pieces.append(f"{left} more")
    listed = " and ".join([part for part in (", ".join(pieces[:-1]), pieces[-1]) if part])
    return f"shard{'' if len(shards) == 1 else 's'} {listed}"


def option_for(shards: Sequence[int]) -> str:
    """Return the value of ``--shards`` for the first run of some shards: ``3``, or ``0:5``."""
    first = _runs(shards)[0]
    return str(first[0]) if len(first) == 1 else f"{first[0]}:{first[-1] + 1}"


def _runs(shards: Sequence[int]) -> list[list[int]]:
    """Group numbers that follow each other."""
    runs: list[list[int]] = []
    for shard in sorted(shards):
        if runs and shard == runs[-1][-1] + 1:
            runs[-1].append(shard)
        else:
            runs.append([shard])
    return runs
