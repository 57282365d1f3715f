"""Every row is a recipe that training accepts, and the table compares runs that can be compared."""

from __future__ import annotations

import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.choose import ablation
from benchmarks.choose import ablation_setup as setup
from benchmarks.script import REPOSITORY
from tina_framework.config.training import load_training_config
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.storage.files import write_json

PLANS = {
    name: tomllib.loads((REPOSITORY / "benchmarks" / "choose" / f"{name}.toml").read_text(encoding="utf-8"))
    for name in ("ablation", "coordinates")
}
PLAN = PLANS["ablation"]
ROWS = [(plan, row) for plan in PLANS for row in PLANS[plan]["rows"]]


@pytest.mark.parametrize(("file", "name"), ROWS)
def test_every_row_is_a_recipe_that_changes_something(file: str, name: str) -> None:
    plan = PLANS[file]
    recipe = tomllib.loads((REPOSITORY / "examples/cifar100/train.toml").read_text(encoding="utf-8")) | plan["proxy"]
    given = {"output_dir": "o", "dataset": "shapes", "zoo": "z", "encoders": "clip-lite"}

    def config(change: dict[str, Any]) -> dict[str, Any]:
        teacher = {"teacher": "t.safetensors"} if "teacher_weight" in change else {}
        flags = {k: setup.as_flag(v) for k, v in (recipe | change).items()}
        return load_training_config(flags | given | teacher).to_json()

    row = plan["rows"][name]
    setup.check(plan, [name])
    against = plan["rows"][row.get("against", "base")]
    changed = config(row["change"]) != config(against["change"]) or row.get("zoo") != against.get("zoo")
    assert changed == (name != "base")


def test_rows_that_name_nothing_are_refused() -> None:
    for rows, wanted in (({}, ["x"]), ({"x": {"against": "y"}}, ["x"]), ({"x": {"against": "x", "zoo": "z"}}, ["x"])):
        with pytest.raises(ConfigError):
            setup.check({"rows": rows, "zoo": {}}, wanted)


def test_taught_rows_need_a_teacher(tmp_path: Path) -> None:
    words = ["--dataset", "shapes", "--encoders", "x", "--out", str(tmp_path), "--rows", "taught"]
    with pytest.raises(ConfigError, match="--teacher"):
        ablation.main([*words, "--file", str(REPOSITORY / "benchmarks" / "choose" / "coordinates.toml")])


def test_the_table_pairs_tasks_and_seeds(tmp_path: Path) -> None:
    def figures(row: str, seed: int, accuracy: list[float], selection: list[float]) -> None:
        steps = {str(n): accuracy for n in (1, 2, 50)}
        found = {"row": row, "seed": seed, "seconds": 1.0, "selection": selection, "accuracy": steps, "tasks": []}
        write_json(tmp_path / row / str(seed) / "figures.json", found)

    figures("base", 0, [0.5, 0.6], [0.4, 0.6])
    figures("base", 1, [0.6, 0.6], [0.4, 0.6])
    figures("task-only", 0, [0.51, 0.61], [0.4, 0.6])
    figures("task-only", 1, [0.61, 0.61], [0.4, 0.6])
    # Another base, whose selection is better: the gains are compared, not the accuracies.
    figures("base-ten-way", 0, [0.7, 0.7], [0.6, 0.65])
    words = ["--dataset", "shapes", "--encoders", "x", "--out", str(tmp_path), "--seeds", "0", "1"]
    text = ablation.table(ablation.parse(words), PLAN, ["base", "task-only", "base-ten-way"])
    base, task, other = text.splitlines()[2:]
    assert "| 2 | 57.50 | +7.50" in base
    assert "[+5.00, +10.00]" in base  # seed by seed
    assert "| `base` | +1.00 (+1.00 to +1.00) |" in task
    assert "| 1 | 70.00 | +7.50" in other
    assert "| `task-only` | +1.50 (" in other
    assert "of the gains" in other


def test_figures_of_another_recipe_zoo_or_teacher_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "train", None)  # nothing is trained
    plan = PLANS["coordinates"]
    teacher = tmp_path / "t.safetensors"
    teacher.write_bytes(b"1")
    out = ["--out", str(tmp_path / "out"), "--teacher", str(teacher)]
    given = ablation.parse(["--dataset", "arrays:/a/c.npz", "--encoders", "x", *out])
    path = tmp_path / "out" / "taught" / "0" / "figures.json"
    write_json(path, {"head": ablation.head_of(given, plan, "taught", 0)})
    ablation.run_all(given, plan, ["taught"])
    ablation.run_all(ablation.parse(["--dataset", "arrays:/b/c.npz", "--encoders", "x", *out]), plan, ["taught"])
    longer = {**plan, "proxy": {**plan["proxy"], "max_steps": 7}}
    with pytest.raises(ConfigError, match="was made with another recipe"):
        ablation.run_all(given, longer, ["taught"])
    teacher.write_bytes(b"2")
    with pytest.raises(ConfigError, match="was made with another teacher"):
        ablation.run_all(given, plan, ["taught"])
    given.zoo = tmp_path
    with pytest.raises(ConfigError, match="was made with another zoo and teacher"):
        ablation.run_all(given, plan, ["taught"])


def test_a_row_that_fails_ends_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def fail(words: list[str], **options: Any) -> Any:
        started.append(words)
        time.sleep(0.2)
        return subprocess.CompletedProcess(words, 1)

    monkeypatch.setattr(subprocess, "run", fail)
    words = ["--dataset", "shapes", "--encoders", "x", "--out", str(tmp_path), "--jobs", "1"]
    with pytest.raises(TrainingError, match="Row 'base', seed 0, failed"):
        ablation.run_all(ablation.parse(words), PLAN, ["base", "task-only", "regressor", "deeper"])
    assert len(started) <= 2  # the first, and the one that had begun before that was known
