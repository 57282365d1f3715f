"""Sizes in bytes that callers give."""

from __future__ import annotations

import numpy as np
import pytest

from tina_framework.errors import ConfigError
from tina_framework.interfaces.byte_size import byte_size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (20000, 20_000),
        ("20000", 20_000),
        ("20000 B", 20_000),
        ("16kB", 16_000),
        ("1.001kB", 1_001),
        ("9007199254740993", 2**53 + 1),
        ("16KB", 16_000),
        (" 16 kb ", 16_000),
        ("1.5MB", 1_500_000),
        ("16KiB", 16_384),
        ("0.5 kib", 512),
        (np.int64(7), 7),
    ],
)
def test_sizes(value: object, expected: int) -> None:
    assert byte_size(value, "max_flash") == expected


@pytest.mark.parametrize(
    "value",
    ["", "kB", "16k", "16 kB flash", "-1kB", "0", 0, -5, "0.1", "1e3", 1.5, True, None, "nan", "9" * 400, "٣kB"],
)
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(
        ConfigError, match=r"^max_flash is .*; give a number of bytes above 0, or a text such as '16kB'"
    ):
        byte_size(value, "max_flash")
