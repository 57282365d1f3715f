from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from tina_framework.storage.files import read_metadata, read_safetensors, write_safetensors
from tina_framework.storage.paths import cache_folder, user_path, utf8_path


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are not text")
def test_safetensors_opens_a_file_whose_name_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff") / "a.safetensors"
    path.parent.mkdir()
    write_safetensors(path, {"x": torch.ones(2)}, {"commit": "abc"})
    assert read_metadata(path)["commit"] == "abc"
    assert read_safetensors(path)["x"].tolist() == [1, 1]
    with utf8_path(tmp_path / "plain") as name:
        assert name == tmp_path / "plain"
