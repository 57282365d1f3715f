"""Distributions that are made up for a test, and discovery as in a new process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tina_framework.plugin import discovery

Install = Callable[..., str]


@pytest.fixture
def fresh_discovery(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Discovery as in a new process; modules that the test's plugins import are forgotten afterwards."""
    monkeypatch.setattr(discovery, "_host", None)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("fake_", "tina_plugin_file_")):
            del sys.modules[name]


@pytest.fixture
def install(fresh_discovery: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes a distribution into a folder on the path: a module, and the metadata that a wheel would leave."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def write(
        name: str, code: str, *, version: str = "1.0", entry: str | None = None, points: str | None = None
    ) -> str:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(points or f"[tina_framework]\n{entry or name} = {module}\n")
        return str(site)

    return write
