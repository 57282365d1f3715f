"""Sizes in bytes that callers give: a number, or a text such as ``16kB``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tina_framework.errors import ConfigError, shorten
from tina_framework.interfaces.whole_numbers import plain_number

__all__ = ["byte_size"]

_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
"""As in huggingface_hub, a kB is 1,000 bytes. A kB of a data sheet of a chip is 1,024, so the reading here is on the safe side."""

_MAX_DIGITS = 30


def byte_size(value: Any, name: str) -> int:
    """Return a size as a number of bytes, rounded down.

    Args:
        value: a number of bytes, or a text: ``20000``, ``16kB``, ``16 KB``, ``1.5MB`` or ``16KiB``. 1 kB is 1,000 bytes, and 1 KiB
            is 1,024.
        name: what it is, for the message.

    Raises:
        ConfigError: it is no size above 0.
    """
    found = plain_number(value)
    text = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
    read = _SIZE.fullmatch(text) if isinstance(text, str) and len(text) <= _MAX_DIGITS else None
    factor = None if read is None else _UNITS.get(read[2].lower())
    number = 0 if read is None or factor is None else int(Decimal(read[1]) * factor)
    if number < 1:
        raise ConfigError(
            f"{name} is {shorten(value)}; give a number of bytes above 0, or a text such as '16kB' (16,000 bytes) or '16KiB' (16,384)."
        )
    return number
