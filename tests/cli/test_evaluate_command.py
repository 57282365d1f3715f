"""``tina evaluate``, from the command line to the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tina_framework.cli.__main__ import main
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.tasks import Task, save_tasks

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: the model ``tiny``, pictures of noise, and tasks of two and three classes."""
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    draws = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(CLASSES)), 4)
    images = draws.integers(0, 256, size=(len(labels), 32, 32, 3)).astype(np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "toys.npz", class_names=np.array(CLASSES), **arrays)
    pairs = [(a, b) for a in CLASSES for b in CLASSES if a < b]
    triples = [(a, b, c) for a, b in pairs for c in CLASSES if b < c]
    unseen = [classes for classes in (*pairs, *triples) if partition_of(classes) == "test"]
    tasks = [Task(classes, "unseen-combination") for classes in (*unseen[:4], *unseen[-4:])]
    save_tasks(tmp_path / "tasks.json", tasks)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*changes: str) -> int:
    """The exit code of ``tina evaluate`` with these arguments after the usual ones."""
    usual = [
        "--model",
        "tiny",
        "--dataset",
        "arrays:toys.npz",
        "--tasks",
        "tasks.json",
        "--out",
        "out",
        "--device",
        "cpu",
    ]
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *usual, *changes])
    return int(caught.value.code or 0)


def test_a_table_and_three_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--methods", "tina,selection,generic,nearest") == 0
    output = capsys.readouterr()
    for part in (
        "unseen-combination, all class counts",
        "unseen-combination, 2 classes",
        "selection",
        "Written to out",
    ):
        assert part in output.out
    # Tables fit into a narrow terminal. Sentences are not wrapped.
    assert max(len(line) for line in output.out.splitlines() if not line.endswith(".")) <= 80
    assert "Not run: nearest: the generator names no zoo" in output.err
    assert sorted(path.name for path in (place / "out").iterdir()) == ["results.json", "results.md", "tasks.json"]
    summary = json.loads((place / "out" / "results.json").read_text())
    assert [row["method"] for row in summary["rows"]] == ["tina", "selection", "generic"] * 3
    command = "tina evaluate --model tiny --dataset arrays:toys.npz --tasks tasks.json --methods tina,selection,generic,nearest"
    assert summary["setup"]["command"] == f"{command} --out out --device cpu"
    assert str(place) not in (place / "out" / "results.json").read_text()


def test_without_methods_the_record_names_none(place: Path) -> None:
    assert run("--fine-tune-tasks", "1") == 0
    setup = json.loads((place / "out" / "results.json").read_text())["setup"]
    assert "--methods" not in setup["command"]
    assert {"tina", "selection"} <= setup["methods"].keys()
    assert run("--record") == 0


def test_json_is_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--methods", "selection,tina@2", "--json", "--seed", "3") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((place / "out" / "results.json").read_text())
    assert printed["setup"]["seed"] == 3


def test_absolute_paths_are_not_published(place: Path) -> None:
    assert (
        run("--methods", "selection", "--dataset", f"arrays:{place / 'toys.npz'}", "--model", str(place / "tiny")) == 0
    )
    for name in ("results.json", "results.md"):
        assert str(place) not in (place / "out" / name).read_text()


def test_record_writes_into_the_models_folder(place: Path) -> None:
    assert run("--methods", "tina,selection", "--record") == 0
    rows = json.loads((place / "out" / "results.json").read_text())["rows"]
    mean = next(r["accuracy"]["mean"] for r in rows if r["method"] == "tina" and r.get("num_classes") == 2)
    metrics = json.loads((place / "tiny" / "config.json").read_text())["metrics"]
    assert metrics["toy"]["unseen-combination"]["2"] == round(mean, 4)
    assert metrics["toy"]["seen"] == {"3": 0.5}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (["--methods", "selektion"], 2, "Did you mean 'selection'?"),
        (["--methods", "selection", "--model", "no-such"], 2, "Unknown generator 'no-such'"),
        (["--methods", "selection", "--dataset", "arrays:none.npz"], 1, "does not exist"),
        (["--methods", "selection", "--tasks", "none.json"], 1, "none.json"),
        (["--methods", "selection", "--zoo", "tiny"], 1, "is not a zoo"),
        (["--methods", "selection", "--encoder", "clop"], 2, "Unknown encoder 'clop'"),
        (["--methods", "average"], 1, "No method could run"),
        (["--methods", "selection", "--record"], 2, "does not name"),
        (["--methods", "selection", "--out", "toys.npz"], 2, "is not a folder"),
        (["--methods", "selection", "--split", "train"], 2, "train"),
    ],
)
def test_mistakes_leave_nothing_behind(
    place: Path, capsys: pytest.CaptureFixture[str], changes: list[str], code: int, message: str
) -> None:
    before = sorted(place.rglob("*"))
    assert run(*changes) == code
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors
    assert sorted(place.rglob("*")) == before


def test_a_leaking_task_file_of_our_own_stops_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = next((a, b) for a in CLASSES for b in CLASSES if a < b and partition_of((a, b)) == "train")
    save_tasks(place / "tasks.json", [Task(seen, "unseen-combination")])
    assert run("--methods", "selection") == 1
    assert "train partition" in capsys.readouterr().err
    (place / "tasks.json").write_text(json.dumps({"tasks": [{"classes": seen, "split": "unseen-combination"}]}))
    assert run("--methods", "selection") == 0
    assert "Relabelled tasks: 1" in capsys.readouterr().err


def test_help_describes_every_method(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tina_framework.evaluation.methods import DEFAULT_METHODS
    from tina_framework.plugin.discovery import registries

    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    # The help page breaks lines anywhere, so that only letters and digits can be compared.
    text = _letters(capsys.readouterr().out)
    missing = [e.name for e in registries().methods.entries() if _letters(e.usage + e.summary) not in text]
    assert missing == []
    assert _letters(f"Default: {DEFAULT_METHODS}, and zero-shot where it applies") in text


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def test_without_a_task_file_tasks_are_drawn(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "--model tiny --dataset arrays:toys.npz --out out --device cpu --methods selection --num-tasks 5 --seed 3"
    )
    with pytest.raises(SystemExit):
        main(["evaluate", *arguments.split()])
    assert "Tasks drawn from 'arrays:toys.npz' with seed 3: 5 tasks of" in capsys.readouterr().err
    assert len(json.loads((place / "out" / "tasks.json").read_text())["tasks"]) == 5
    command = json.loads((place / "out" / "results.json").read_text())["setup"]["command"]
    assert "--num-tasks 5" in command
    assert "--tasks" not in command.replace("--num-tasks", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--num-tasks", "5"], "--num-tasks has no effect on a task file"),
        (["--classes", "3"], "--classes has no effect on a task file"),
        (["--suite", "prompts"], "give either --tasks or --suite"),
        (["--descriptions", "x.json"], "has no effect without --suite prompts"),
    ],
)
def test_options_of_the_draw(place: Path, capsys: pytest.CaptureFixture[str], changes: list[str], message: str) -> None:
    assert run(*changes) == 2
    assert message in capsys.readouterr().err


def test_another_architecture_of_the_generator(
    place: Path, several_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(several_folder, place / "several")
    options = ["--model", "several", "--architecture", "cnn-3layer", "--methods", "tina", "--record"]
    assert run(*options) == 0, capsys.readouterr().err
    setup = json.loads((place / "out" / "results.json").read_text())["setup"]
    assert setup["model"]["architecture"] == "cnn-3layer"
    assert "--architecture cnn-3layer" in setup["command"]
    entries = json.loads((place / "several" / "config.json").read_text())["architectures"]
    assert [name for name, entry in entries.items() if "metrics" in entry] == ["cnn-3layer"]
    capsys.readouterr()
    assert run("--architecture", "cnn-3layer") == 2
    assert "does not write the architecture 'cnn-3layer'" in capsys.readouterr().err
