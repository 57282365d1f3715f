"""A data set on the command line: the path of an .npz file, or a spec."""

from __future__ import annotations

__all__ = ["data_spec"]


def data_spec(given: str) -> str:
    """Return the spec of a data set. The path of an .npz file is short for ``arrays:FILE``."""
    return f"arrays:{given}" if given.endswith(".npz") and ":" not in given else given
