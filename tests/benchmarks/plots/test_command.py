"""``benchmarks/plots.py``: from results to a folder of pictures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "plots.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """script(*arguments) -> its exit code."""
    spec = importlib.util.spec_from_file_location("benchmark_plots", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["plots.py", *map(str, arguments)])
        return int(module.main())

    return run


def test_what_is_there_is_drawn_and_the_rest_is_told(
    script: Any, write: Any, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    assert script(out, "--results", folder.parent, "--run", f"mine={log}") == 0
    names = {"steps", "frontier", "scatter-fine-tune", "training-steps", "training-time", "usefulness", "abstaining"}
    assert {path.stem for path in out.iterdir()} == names
    printed = capsys.readouterr().out
    assert "Not drawn: class-counts: " in printed
    assert "): old." in printed


def test_no_results_and_a_bad_log(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script(tmp_path / "out", "--results", tmp_path) == 0
    assert "No evaluation of 'cifar100-cnn'" in capsys.readouterr().out
    assert script(tmp_path / "out", "--results", tmp_path, "--run", "a=none.jsonl") == 1
    assert "none.jsonl" in capsys.readouterr().err
