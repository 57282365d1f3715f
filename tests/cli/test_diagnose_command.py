"""The command ``tina diagnose``, on a generator of the quick kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tina_framework.cli.__main__ import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["diagnose", *words])
    return int(ended.value.code or 0)


def test_it_needs_a_zoo(capsys: pytest.CaptureFixture[str], tiny_folder: Path) -> None:
    assert run("--model", str(tiny_folder), "--dataset", "shapes:4") == 1
    assert "Error: the generator names no zoo; give its folder with --zoo" in capsys.readouterr().err


def test_an_unknown_model_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "no-such-model", "--dataset", "shapes:4") == 2
    assert capsys.readouterr().err.startswith("Error: Unknown generator 'no-such-model'.")


@pytest.mark.slow
@pytest.mark.cifar100
def test_the_bundled_generator(capsys: pytest.CaptureFixture[str], cifar100_path: Path) -> None:
    words = ("--model", "cifar100-cnn", "--dataset", f"arrays:{cifar100_path}", "--num-tasks", "5")
    assert run(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    stages = {row["stage"]: row for row in found["stages"]}
    assert abs(stages["round trip"]["minus_p_model"]["mean"]) < 0.002
    assert stages["sampled"]["minus_p_model"]["mean"] > -0.05
    assert "Sampling works" in found["verdict"]


def test_another_architecture_of_the_generator(capsys: pytest.CaptureFixture[str], several_folder: Path) -> None:
    words = ("--model", str(several_folder), "--dataset", "shapes:4", "--architecture")
    assert run(*words, "mlp") == 2
    assert "does not write the architecture 'mlp'" in capsys.readouterr().err
    assert run(*words, "cnn-3layer") == 1
    assert "Error: the generator names no zoo" in capsys.readouterr().err
