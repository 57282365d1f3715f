"""The quick start runs from start to end, quickly enough, and reaches what its README says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "quickstart"
COUNTS = (4, 6, 8)
CPU_SECONDS = 360
"""Processor time of all processes together. On two idle cores it is less than four minutes of real time."""


def settings(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


def test_the_two_recipes_hold_out_the_same_classes() -> None:
    assert settings("zoo.toml")["held_out_classes"] == settings("train.toml")["held_out_classes"]
    assert settings("zoo.toml")["class_counts"] == settings("train.toml")["class_counts"]


def test_every_word_is_still_seen() -> None:
    from tina_framework.builtins.datasets.shapes import CLASS_NAMES

    held_out = set(settings("zoo.toml")["held_out_classes"])
    assert held_out < set(CLASS_NAMES)
    assert 12 <= len(held_out) <= 16
    seen = [name.split() for name in CLASS_NAMES if name not in held_out]
    for place in range(3):
        assert {words[place] for words in seen} == {name.split()[place] for name in CLASS_NAMES}


def test_the_recipes_are_valid() -> None:
    from tina_framework.config.training import load_training_config
    from tina_framework.zoo.recipe import load_recipe

    load_recipe(FOLDER / "zoo.toml", {"dataset": "shapes"})
    load_training_config({"zoo": "zoo", "output_dir": "run"}, FOLDER / "train.toml")


class Finished(NamedTuple):
    out: Path
    output: str
    cpu_seconds: float
    results: dict[str, Any]

    def row(self, method: str, split: str, num_classes: int | None = None) -> dict[str, Any]:
        """The accuracy of one method; over all class counts, unless one is given."""
        (found,) = [
            row["accuracy"]
            for row in self.results["rows"]
            if (row["method"], row["split"], row.get("num_classes")) == (method, split, num_classes)
        ]
        return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    resource = pytest.importorskip("resource")
    out = tmp_path_factory.mktemp("quickstart") / "out"
    # One thread a process: figures do not depend on how many cores there are.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=2400,
        check=False,
        env=environment,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Finished(out, done.stdout, seconds, json.loads((out / "results" / "results.json").read_text()))


@pytest.mark.slow
def test_it_is_quick(finished: Finished) -> None:
    assert finished.cpu_seconds < CPU_SECONDS


@pytest.mark.slow
def test_unseen_combinations_are_not_below_selection(finished: Finished) -> None:
    (difference,) = [
        entry["difference"]
        for entry in finished.results["paired"]
        if (entry["method"], entry["against"], entry["split"]) == ("tina", "selection", "unseen-combination")
        and "num_classes" not in entry
    ]
    assert difference["mean"] >= 0
    assert difference["ci95"][0] > 0, "the interval of the difference should leave zero behind"
    assert finished.row("tina", "unseen-combination")["mean"] >= finished.row("selection", "unseen-combination")["mean"]


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS)
def test_unseen_classes_are_above_chance(finished: Finished, count: int) -> None:
    chance = 1 / count
    accuracy = finished.row("tina", "unseen-classes", count)
    assert accuracy["ci95"][0] > chance + 0.2
    # With vectors that say nothing it is near chance: the names are what it works from.
    assert finished.row("random-prompt", "unseen-classes", count)["mean"] < chance + 0.15


@pytest.mark.slow
def test_no_task_was_relabelled(finished: Finished) -> None:
    assert finished.results["setup"]["relabelled_tasks"] == 0
    tasks = json.loads((finished.out / "results" / "tasks.json").read_text())["tasks"]
    held_out = set(settings("zoo.toml")["held_out_classes"])
    for task in tasks:
        classes = set(task["classes"])
        assert classes <= held_out if task["split"] == "unseen-classes" else not classes & held_out


@pytest.mark.slow
def test_it_prints_the_commands_and_classifies(finished: Finished) -> None:
    commands = re.findall(r"^\$ (tina \w+(?: \w+)?)", finished.output, flags=re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["zoo", "zoo", "train", "evaluate", "generate", "classify"]
    assert (finished.out / "classifier" / "model.safetensors").is_file()
    assert len(list((finished.out / "pictures").glob("*.png"))) == 4


@pytest.mark.slow
def test_a_second_run_goes_on_where_the_first_was(finished: Finished) -> None:
    """Nothing is trained again: the generator's weights stay to the last bit."""
    weights = finished.out / "run" / "generator" / "model.safetensors"
    index = finished.out / "zoo" / "index.json"
    before = weights.read_bytes(), index.read_bytes()
    log = (finished.out / "run" / "log.jsonl").read_text().count('"kind": "train"')
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--out", str(finished.out)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert (weights.read_bytes(), index.read_bytes()) == before
    assert (finished.out / "run" / "log.jsonl").read_text().count('"kind": "train"') == log
