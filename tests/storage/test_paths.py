from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.storage.paths import cache_folder, user_path


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/run") == tmp_path / "run"
    assert user_path(Path("~")) == tmp_path
    assert user_path("a~/~b") == Path("a~/~b")
    assert user_path("~nobody-has-this-name/x") == Path("~nobody-has-this-name/x")


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TINA_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "tina_framework"
    monkeypatch.setenv("TINA_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
