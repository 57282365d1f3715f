"""The program ``python -m tina_peers.train``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError, UnknownNameError
from tina_peers.train import main, parse, program

COMMON = ["--dataset", "shapes:6", "--zoo", "zoo", "--out", "out"]


def test_it_trains_and_records_the_command(zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "peer"
    main(["weight-flow", "--dataset", "shapes:6", "--zoo", str(zoo), "--out", str(out), "--steps", "4", "--tasks", "2",
          "--classes", "4", "--components", "2", "--hidden", "8"])  # fmt: skip
    config = json.loads((out / "config.json").read_text())
    assert config["settings"]["components"] == 2
    assert config["training"]["recipe"]["steps"] == 4
    assert config["training"]["tasks"] == 2
    assert config["training"]["classes"] == 4
    assert len(config["training"]["zoo_sha256"]) == 64
    assert [point["step"] for point in config["training"]["curve"]] == [1, 2, 3, 4]
    assert str(tmp_path) not in (out / "config.json").read_text()
    assert "over selection" in capsys.readouterr().err


def test_settings_of_the_peer_and_of_training() -> None:
    _, settings, recipe = parse(["norm-only", *COMMON, "--scale_inputs", "true", "--lr", "0.1"])
    assert vars(settings)["scale_inputs"] is True
    assert recipe.lr == 0.1
    assert recipe.objective == "task"


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ([], ConfigError, "Name a peer first"),
        (["none", *COMMON], UnknownNameError, "choose one of"),
        (["norm-only", *COMMON, "--tasks", "201"], ConfigError, "1 to 200"),
        (["norm-only", *COMMON, "--steps", "0"], ConfigError, "steps"),
        (["norm-only", *COMMON, "--threads", "0"], ConfigError, "at least 1"),
        (["norm-only", *COMMON, "--hidden", "0"], ConfigError, "hidden is 0"),
    ],
)
def test_wrong_words_are_refused(words: list[str], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        parse(words)


def test_errors_and_their_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["norm-only", *COMMON[:2], "--zoo", str(tmp_path / "none"), *COMMON[4:]]
    assert program(words) == 1
    plain = capsys.readouterr().err
    assert plain.startswith("Error: ")
    assert "Traceback" not in plain
    assert program([*words, "--debug"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith(plain)


def test_help_names_settings(capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in (
        (["--help"], "weight-flow"),
        (["weight-flow", "--help"], "--components"),
        (["weight-flow", "--help"], "mps"),
    ):
        with pytest.raises(SystemExit):
            parse(words)
        assert wanted in capsys.readouterr().out
