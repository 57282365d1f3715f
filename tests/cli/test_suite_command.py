"""``tina evaluate --suite prompts``: options that are refused, and the command that is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tina_framework.cli.__main__ import main
from tina_framework.evaluation.suite.prompt_measurer import SuiteRequest


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--suite", "prompts", "--tasks", "x.json"], "give either --tasks or --suite"),
        (["--suite", "prompts", "--methods", "tina"], "--methods has no effect"),
        (["--tasks", "x.json", "--descriptions", "y.json"], "--descriptions has no effect"),
        (["--tasks", "x.json", "--num-tasks", "5"], "--num-tasks has no effect"),
    ],
)
def test_the_command_refuses(
    words: list[str], sentence: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["evaluate", "--model", str(tiny_folder), "--dataset", "shapes", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        main(base + words)
    assert end.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_the_recorded_command_is_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tina_framework.cli import suite_command
    from tina_framework.evaluation.suite import prompt_suite

    asked = []

    def stop(request: SuiteRequest, advance: Any) -> Any:
        asked.append(request.command)
        raise KeyboardInterrupt

    monkeypatch.setattr(prompt_suite, "run_suite", stop)
    options = {"--model": "m", "--dataset": "shapes", "--encoder": None, "--descriptions": None, "--num-tasks": 2}
    options |= {"--classes": 3, "--split": "test", "--device": "cpu", "--seed": 0}
    with pytest.raises(KeyboardInterrupt):
        suite_command.evaluate_prompts(options, tmp_path / "found", json_=False)
    assert asked[0].endswith("--num-tasks 2 --classes 3 --split test --device cpu --out found")
