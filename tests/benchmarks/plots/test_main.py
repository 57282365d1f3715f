"""``python -m benchmarks.plots`` turns results into a folder of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plots.__main__ import main
from tina_framework.errors import DataError


def script(*words: str | Path) -> None:
    main([str(word) for word in words])


def test_what_is_there_is_drawn_and_the_rest_is_told(
    write: Any, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(
        "a",
        {"tina": 0.02, "tina@1": 0.01, "fine-tune": 0.04},
        methods={"tina": "ddim, 4 steps", "tina@1": "ddim, 1 step"},
        fine_tuned=20,
    )
    (folder / "usefulness.json").write_text(json.dumps({"starts": {"tina": [{"shots": 1, "mean": 0.6}]}}))
    refused = {"mean": 0.5, "ci95": None}
    curves = {"3": [{"kept": share, **refused} for share in (1.0, 0.5)]}
    rows = {"3": {"kept": 0.9, "refused": refused}}
    (folder / "abstain.json").write_text(json.dumps({"curves": curves, "rows": rows}))
    write("old", {"tina": 0.5}, sha="old", date="2020-01-01T00:00:00+00:00")
    out = tmp_path / "images"
    script(folder.parent, out, "--run", f"mine={log}")
    names = {"steps", "frontier", "scatter-fine-tune", "training-steps", "training-time", "usefulness", "abstaining"}
    assert {path.stem for path in out.iterdir()} == names
    printed = capsys.readouterr().out
    assert "Not drawn: class-counts: " in printed
    assert "): old." in printed


def test_no_results_and_a_bad_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script(tmp_path, tmp_path / "out")
    assert "No evaluation of 'cifar100-cnn'" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"none\.jsonl"):
        script(tmp_path, tmp_path / "out", "--run", "a=none.jsonl")
