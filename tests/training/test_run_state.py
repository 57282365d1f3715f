"""What a checkpoint stores of a run: every value has its type, and a window of the log continues exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import CheckpointError
from tina_framework.training.run_state import LogWindow, RunState, read_state

FIGURES = {"accuracy": 0.5, "selection": 0.4, "difference": 0.1, "standard_error": 0.01}
STATE = RunState(
    7,
    7,
    1.5,
    2,
    {"seed": 0},
    {"zoo": "ab"},
    9,
    "ef",
    LogWindow(2, {"task": 0.3}, 0.1),
    {"step": 4, "accuracy": 0.5},
    {"step": 4, "num_tasks": 3, "by_count": {"3": {"accuracy": 0.5}}, **FIGURES},
    {"scale": 65536.0, "_growth_tracker": 3},
)


VALIDATION = {"step": 4, "num_tasks": 3, "by_count": {"3": {"accuracy": 0.5}}, **FIGURES}


def written(folder: Path, values: Any) -> Path:
    path = folder / "state.json"
    path.write_text(json.dumps(values))
    return path


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_state(written(tmp_path, STATE.to_json())) == STATE
    of_each = {name: {key: VALIDATION[key] for key in VALIDATION if key != "step"} for name in ("a", "b")}
    several = replace(STATE, validation={**VALIDATION, "by_architecture": of_each})
    assert read_state(written(tmp_path, several.to_json())) == several
    fresh = RunState(0, 0, 0.0, 1, {}, {})
    assert read_state(written(tmp_path, fresh.to_json())) == fresh


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("validation", {**VALIDATION, "by_architecture": [1]}),
        ("validation", {**VALIDATION, "by_architecture": {"a": 3}}),
        ("validation", {**VALIDATION, "by_architecture": {"a": {"accuracy": 0.5}}}),
        ("validation", {**VALIDATION, "by_architecture": {"a": None}}),
        ("step", -1),
        ("step", True),
        ("step", 2**60),
        ("ema_updates", "7"),
        ("seconds", -1.0),
        ("processes", 0),
        ("config", []),
        ("fingerprints", {"zoo": 1}),
        ("log_lines", 1.5),
        ("log_sha256", None),
        ("window", {"steps": 1}),
        ("window", {"steps": 1, "sums": {"task": "a"}, "seconds": 0.0}),
        ("best", {"step": 1}),
        ("best", [1, 2]),
        ("validation", {}),
        ("validation", {**STATE.to_json()["validation"], "by_count": {"three": {}}}),
        ("validation", {**STATE.to_json()["validation"], "accuracy": None}),
        ("scaler", {"scale": "big"}),
    ],
)
def test_a_value_of_another_type_is_one_sentence(tmp_path: Path, name: str, value: Any) -> None:
    path = written(tmp_path, STATE.to_json() | {name: value})
    with pytest.raises(CheckpointError, match=rf"state\.json': {name} is .*, which is not .*\. Resume from another"):
        read_state(path)


@pytest.mark.parametrize("values", [[], {}, {**STATE.to_json(), "more": 1}])
def test_other_keys_are_refused(tmp_path: Path, values: Any) -> None:
    with pytest.raises(CheckpointError, match="does not hold the state of a training run"):
        read_state(written(tmp_path, values))


def test_a_window_that_was_stored_in_between_has_the_same_means() -> None:
    losses = [{"task": 0.1 * i, "denoise": 1 / (i + 3)} for i in range(7)]
    whole, part = LogWindow(), LogWindow()
    for row in losses:
        whole.add(row, 1.0)
    for row in losses[:3]:
        part.add(row, 1.0)
    rest = LogWindow(**json.loads(json.dumps(part.__dict__)))
    for row in losses[3:]:
        rest.add(row, 1.0)
    assert rest.means() == whole.means()
    assert whole.means()["task"] == pytest.approx(0.3)
