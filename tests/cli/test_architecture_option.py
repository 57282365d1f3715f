"""The options of ``tina generate`` that choose an architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.exporting.flash import flash_bytes
from tina_framework.cli.__main__ import main
from tina_framework.plugin.discovery import registries


@pytest.fixture
def tina(
    several_folder: Path,
    tiny_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Any:
    """Runs ``tina generate`` in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, one: bool = False) -> tuple[int, str, str]:
        folder = tiny_folder if one else several_folder
        with pytest.raises(SystemExit) as caught:
            main(["generate", "--model", str(folder), "--device", "cpu", *arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("options", "name", "reason"),
    [
        ([], "cnn-2layer@0.5", "the generator's default"),
        (["--architecture", "cnn-3layer"], "cnn-3layer", "as asked"),
        (["--architecture", "cnn-2layer@1"], "cnn-2layer", "as asked"),
        (
            ["--max-parameters", "20000"],
            "cnn-2layer",
            "the best within 20,000 parameters; 50.0 % on validation tasks of 10 classes",
        ),
        (
            ["--max-flash", "2000"],
            "cnn-2layer@0.5",
            "the best within 2,000 bytes of flash; it takes BYTES; 30.0 % on validation tasks of 10 classes",
        ),
        (
            ["--max-flash", "2 kB"],
            "cnn-2layer@0.5",
            "the best within 2,000 bytes of flash; it takes BYTES; 30.0 % on validation tasks of 10 classes",
        ),
    ],
)
def test_the_choice_is_printed_with_its_reason(tina: Any, options: list[str], name: str, reason: str) -> None:
    code, out, err = tina("ant", "bee", *options)
    assert code == 0, err
    taken = flash_bytes(registries().architectures.create(name), ["ant", "bee"])
    reason = reason.replace("BYTES", f"{taken:,}")
    assert f"architecture: {name} ({reason})\n" in out
    assert f"{name}, " in repr(GeneratedClassifier.from_pretrained("classifier"))
    result = json.loads(tina("ant", "bee", *options, "--json")[1])
    assert (result["architecture"], result["architecture_reason"]) == (name, reason)
    assert result["architecture_trained"]


def test_an_untrained_width_is_called_so(tina: Any) -> None:
    out = tina("ant", "bee", "--architecture", "cnn-2layer@0.75")[1]
    assert (
        "(as asked; the generator was not trained for it, and writes it in part like the next wider one that it was trained for)"
        in out
    )
    found = json.loads(tina("ant", "bee", "--architecture", "cnn-2layer@0.75", "--json")[1])
    assert not found["architecture_trained"]


def test_a_generator_of_one_architecture_prints_nothing_new(tina: Any) -> None:
    assert "architecture" not in tina("ant", "bee", one=True)[1]
    assert json.loads(tina("ant", "bee", "--json", one=True)[1])["architecture"] == "cnn-2layer"
    out = tina("ant", "bee", "--max-parameters", "6000", one=True)[1]
    assert "architecture: cnn-2layer (the largest within 6,000 parameters)" in out


def test_a_budget_holds_for_every_task(tina: Any) -> None:
    """The largest task, or the one of the longest names, decides."""
    Path("tasks.json").write_text(
        json.dumps({"tasks": [{"classes": ["ant", "bee"]}, {"classes": ["cat", "dog", "eel"]}]})
    )
    options = ["--tasks", "tasks.json", "--out", "many", "--max-parameters"]
    assert "Architecture: cnn-2layer (the best" in tina(*options, "5139")[1]
    assert "Architecture: cnn-2layer@0.5 (the best" in tina(*options, "5138")[1]
    long = ["a" * 200, "b" * 200]
    Path("tasks.json").write_text(json.dumps({"tasks": [{"classes": long}, {"classes": ["cat", "dog", "eel"]}]}))
    options = ["--tasks", "tasks.json", "--out", "many", "--json", "--max-flash"]
    assert json.loads(tina(*options, "6200")[1])["architecture"] == "cnn-2layer"
    assert json.loads(tina(*options, "6000")[1])["architecture"] == "cnn-2layer@0.5"


def test_a_merged_network_has_a_budget_and_an_ensemble_has_none(tina: Any) -> None:
    names = [f"class {k}" for k in range(12)]
    code, out, _ = tina(*names, "--merge", "--max-parameters", "5436")
    assert code == 0
    assert "parameters:   5,436" in out
    code, _, err = tina(*names, "--compose", "--max-parameters", "5436")
    assert code == 2
    assert "A budget is that of one network, but 12 classes become an ensemble of several" in err
    assert tina("ant", "bee", "--compose", "--max-parameters", "5436")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--architecture", "resnet"],
            "does not write the architecture 'resnet'. It writes: cnn-2layer@0.5, cnn-2layer@0.75,",
        ),
        (["--architecture", "cnn-2layer@2"], "does not write the architecture 'cnn-2layer@2'."),
        (["--architecture", "cnn-2layer", "--max-flash", "5kB"], "--architecture and --max-flash each choose the arch"),
        (
            ["--max-parameters", "5", "--max-flash", "5kB"],
            "--max-parameters and --max-flash each choose the architecture",
        ),
        (
            ["--max-parameters", "5"],
            "the smallest is 'cnn-2layer@0.5' with 1,402. All: cnn-2layer@0.5 1,402, cnn-2layer@0.75",
        ),
        (["--max-flash", "1kB"], "No architecture has at most 1,000 bytes of constants in flash for 2 classes;"),
        (["--max-flash", "little"], "--max-flash is 'little'; give a number of bytes above 0"),
    ],
)
def test_refusals(tina: Any, options: list[str], message: str) -> None:
    code, _, err = tina("ant", "bee", *options)
    assert code == 2
    assert message in err
    assert not Path("classifier").exists()


def test_a_generator_of_one_architecture_refuses_another(tina: Any) -> None:
    code, _, err = tina("ant", "bee", "--architecture", "cnn-3layer", one=True)
    assert code == 2
    assert "does not write the architecture 'cnn-3layer'. Did you mean 'cnn-2layer'? It writes: cnn-2layer." in err
