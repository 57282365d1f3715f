"""Messages of native libraries, of Python, and errors."""

from __future__ import annotations

import os
import sys

import pytest

from tina_framework.builtins.exporters.quiet import quiet


def test_nothing_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with quiet():
        os.write(1, b"native\n")
        os.write(2, b"native\n")
        print("python")
        print("python", file=sys.stderr)
    print("after", file=sys.stderr)
    assert capfd.readouterr() == ("before\n", "after\n")


def test_errors_are_raised_and_output_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="wrong"), quiet():
        raise ValueError("wrong")
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_no_descriptor_is_left_open() -> None:
    before = os.dup(1)
    os.close(before)
    for _ in range(3):
        with quiet():
            pass
    after = os.dup(1)
    os.close(after)
    assert after == before
