"""Settings of the system's memory allocator for programs that run many networks on the CPU."""

from __future__ import annotations

import contextlib
import ctypes
import sys

__all__ = ["keep_freed_memory"]

# Numbers of glibc's malloc.h; see `man mallopt`.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_MOST_MMAP_THRESHOLD = 32 * 2**20
"""The largest value that glibc accepts on 64-bit systems."""

_MOST_TRIM_THRESHOLD = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep freed memory in this process instead of returning it to the system. It affects the whole process.

    Every step of training allocates and frees the same tensors. Blocks of some megabytes go back to the system when they are
    freed, and each new one costs a page fault for every 4 kB. PyTorch's tuning guide advises the same settings.

    Returns:
        Whether the settings were made. They exist in glibc only, that is, on most Linux systems.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
        done = [mallopt(_M_MMAP_THRESHOLD, _MOST_MMAP_THRESHOLD), mallopt(_M_TRIM_THRESHOLD, _MOST_TRIM_THRESHOLD)]
        return done == [1, 1]
    return False
