"""Keep other libraries from writing to the terminal. Native ones do not use `sys.stderr`, so they are stopped at the file descriptor."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

__all__ = ["quiet"]

_OUTPUTS = (1, 2)


@contextmanager
def quiet() -> Iterator[None]:
    """Discard what is written to standard output and standard error. Errors in Python are raised as usual."""
    _flush()
    saved: dict[int, int] = {}
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        try:
            for output in _OUTPUTS:
                try:
                    saved[output] = os.dup(output)
                except OSError:  # closed, as under some servers
                    continue
                os.dup2(nowhere.fileno(), output)
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                yield
        finally:
            _flush()
            for output, copy in saved.items():
                os.dup2(copy, output)
                os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
