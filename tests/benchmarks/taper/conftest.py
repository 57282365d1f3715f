"""Use the tiny data set and zoo of the training tests."""

from __future__ import annotations

from tests.training.conftest import world

__all__ = ["world"]
