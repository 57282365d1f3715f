"""Fixtures for all tests. Nothing heavy is imported here: light tests stay light."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The machine that runs this may be busy: time limits per example would make honest code fail.
settings.register_profile("tina", deadline=None, max_examples=50)
settings.load_profile("tina")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller has set for plugins or the terminal must not change what tests see."""
    for name in ("TINA_DISABLE_PLUGINS", "TINA_STRICT_PLUGINS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def cifar100_path() -> Path:
    """CIFAR-100 as one .npz file; skips where it is not at hand."""
    value = os.environ.get("TINA_TEST_CIFAR100", "")
    if not value:
        pytest.skip("needs CIFAR-100: set TINA_TEST_CIFAR100 to the .npz file")
    path = Path(value)
    assert path.is_file(), f"TINA_TEST_CIFAR100 is set to '{value}', which is no file"
    return path
