"""A search of settings uses kept figures only if they are its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.taper import __main__ as search
from tina_framework.errors import ConfigError
from tina_framework.storage.files import write_json


def test_figures_of_another_search_are_refused(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", f"arrays:{world / 'data.npz'}", "--encoders", f"embedding-table:{world / 'table.npz'}"]
    words += ["--zoo", str(world / "zoo"), "--out", str(tmp_path), "--only", "one-base", "--steps", "5"]
    row = {"setting": "one-base", "num_bases": 1, "per_tensor": True, "gain": 1.0, "standard_error": 0.1, "curve": []}
    row |= {"lr": 0.1, "mixer_lr": 0.1, "spread": 0.0, "steps": 5, "tasks": 3, "selection": 50.0}
    write_json(tmp_path / "one-base-5" / "figures.json", {"head": search.head_of(search.parse(words)), **row})
    monkeypatch.setattr(search, "Setup", None)  # nothing is trained
    search.main(words)
    assert "| one-base | 1 |" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="was made with another seed and number of tasks"):
        search.main([*words, "--seed", "1", "--tasks", "7"])
