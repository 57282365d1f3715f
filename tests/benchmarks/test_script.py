"""How a benchmark script ends."""

from __future__ import annotations

import sys

import pytest

from benchmarks.script import run
from tina_framework.errors import ConfigError


def test_an_error_is_one_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x.py", "--a", "b"])

    def fails(words: list[str]) -> None:
        raise ConfigError(f"No {words[1]}.")

    with pytest.raises(SystemExit) as ended:
        run(fails)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Error: No b.\n"
    found: list[str] = []
    run(found.extend)
    assert found == ["--a", "b"]
