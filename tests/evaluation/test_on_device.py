"""A whole evaluation on a played GPU: no operation mixes devices."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.playing_device import DEVICE, PlayedDevice
from tina_framework.evaluation import evaluate as evaluate_module
from tina_framework.evaluation.evaluate import EvaluationRequest, evaluate
from tina_framework.evaluation.methods import parse_methods
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.tasks import Task, save_tasks

EVERY = ",".join(
    name for name in registries().methods.names() if name not in ("taper", "regressor")
)  # these two need an argument


@pytest.mark.parametrize("methods", ["selection,tina", pytest.param(EVERY, marks=pytest.mark.slow)])
def test_evaluating_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_folder: Path,
    data_file: Path,
    zoo_folder: Path,
    tasks: list[Task],
    methods: str,
) -> None:
    monkeypatch.setattr(evaluate_module, "busy_warning", lambda: None)
    save_tasks(tmp_path / "tasks.json", tasks)
    request = EvaluationRequest(
        model=str(tiny_folder),
        dataset=f"arrays:{data_file}",
        tasks=tmp_path / "tasks.json",
        methods=parse_methods(methods),
        zoo=zoo_folder,
        device="cpu",
        fine_tune_tasks=2,
    )
    expected = evaluate(request).summary["rows"]
    with PlayedDevice() as played:
        found = evaluate(dataclasses.replace(request, device=str(DEVICE))).summary["rows"]
    assert played.device_operations > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours["method"], ours["split"]) == (theirs["method"], theirs["split"])
        assert ours["accuracy"]["mean"] == pytest.approx(theirs["accuracy"]["mean"], abs=0.02)
