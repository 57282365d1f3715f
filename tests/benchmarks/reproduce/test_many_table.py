"""The networks of one generator become one table, the smallest first, and one picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.reproduce.many_table import main, never_trained, rows, table
from tina_framework.errors import DataError


def measured(folder: Path, parameters: int, **accuracies: list[float | None]) -> None:
    folder.mkdir(parents=True)
    known = {name.replace("_", "-"): values for name, values in accuracies.items()}
    found = [
        {"method": name, "parameters": parameters, "accuracy": {"mean": sum(value or 0.0 for value in values) / 2}}
        for name, values in known.items()
    ]
    (folder / "results.json").write_text(json.dumps({"rows": found}))
    tasks = [
        {"classes": [str(number)], "accuracy": {name: values[number] for name, values in known.items()}}
        for number in range(2)
    ]
    (folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))


def test_each_network_is_compared_with_selection_and_with_a_generator_for_it_alone(tmp_path: Path) -> None:
    measured(tmp_path / "many" / "wide", 20_000, tina=[0.7, 0.8], selection=[0.6, 0.7], fine_tune=[0.75, None])
    measured(tmp_path / "many" / "narrow", 1_538, tina=[0.5, 0.6], selection=[0.5, 0.5])
    measured(tmp_path / "alone" / "wide", 20_000, tina=[0.71, 0.81], selection=[0.6, 0.7])
    narrow, wide = table(tmp_path)[2:]
    assert narrow.startswith("| `narrow` | 1,538 | 50.00 | 55.00 | +5.00 (")
    assert narrow.endswith(" | - | - | - |")
    assert wide.startswith("| `wide` | 20,000 | 65.00 | 75.00 | +10.00 (")
    assert "| -1.00 (" in wide
    assert wide.endswith(" | +15.00 | -5.00 |")  # on the task that was fine-tuned


def test_the_picture_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("a", "b")):
        measured(tmp_path / "many" / name, 1000 * (number + 1), tina=[0.7, 0.8], selection=[0.6, 0.7])
    main([str(tmp_path), "--plot", str(tmp_path / "networks.png")])
    assert (tmp_path / "networks.png").stat().st_size > 10_000
    assert "| `a` | 1,000 |" in capsys.readouterr().out


def test_two_networks_of_the_recipe_are_never_trained() -> None:
    assert sorted(never_trained()) == ["cnn-2layer@0.75", "cnn-2layer@1.25"]


def test_missing_results_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no results"):
        rows(tmp_path)
    (tmp_path / "many" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="is missing"):
        rows(tmp_path)
    (tmp_path / "many" / "a").rmdir()
    measured(tmp_path / "many" / "b", 10, tina=[0.5, 0.5])
    with pytest.raises(DataError, match="no row 'selection'"):
        rows(tmp_path)
