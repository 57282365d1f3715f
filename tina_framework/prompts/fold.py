"""What two spellings of one class have in common."""

from __future__ import annotations

import re

__all__ = ["fold"]


def fold(name: str) -> str:
    """``Aquarium_Fish`` and ``aquarium-fish`` -> ``aquarium fish``."""
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()
