"""Write results as ``tina evaluate`` does, with figures that are easy to tell apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


def statistics(mean: float) -> dict[str, Any]:
    return {"mean": mean, "std": 0.01, "ci95": [mean - 0.005, mean + 0.005]}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes gains over selection, whose accuracy is 0.6, and returns the folder."""

    def results(
        name: str,
        gains: Mapping[str, float],
        *,
        seconds: Mapping[str, float] | None = None,
        methods: Mapping[str, str] | None = None,
        count: int = 10,
        tasks: int = 100,
        model: str = "cifar100-cnn",
        sha: str = "a",
        encoder: str = "clip-lite",
        images: str = "test",
        date: str = "2026-11-25T00:00:00+00:00",
        fine_tuned: int = 0,
    ) -> Path:
        row = {"split": "unseen-combination", "num_classes": count, "num_tasks": tasks}
        every = {"selection": 0.0, **gains}
        rows = [
            {**row, "method": m, "accuracy": statistics(0.6 + g), "seconds_per_model": (seconds or {}).get(m, 0.01)}
            for m, g in every.items()
        ]
        paired = [{**row, "method": m, "against": "selection", "difference": statistics(g)} for m, g in gains.items()]
        setup = {
            "model": {"name": model, "config_sha256": sha},
            "image_split": images,
            "encoder": {"name": encoder},
            "date": date,
            "methods": dict(methods or {}),
        }
        summary = {"format": "tina-evaluation", "format_version": 1, "rows": rows, "paired": paired, "setup": setup}
        entries = []
        for i in range(tasks):
            accuracy = {m: 0.6 + g + 0.001 * (i % 7) for m, g in every.items() if m != "fine-tune" or i < fine_tuned}
            classes = [f"c{j}" for j in range(count)]
            entries.append({"classes": classes, "split": "unseen-combination", "accuracy": accuracy})
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(summary))
        (folder / "tasks.json").write_text(json.dumps({"tasks": entries}))
        return folder

    return results


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a log of training with three validations; step 100 occurs twice, as after a resume."""
    rows = [
        {"kind": "validation", "step": 0, "difference": 0.0, "standard_error": 0.001, "seconds": 9.0},
        {"kind": "train", "step": 100, "loss": 1.0, "seconds": 60.0},
        {"kind": "validation", "step": 100, "difference": 0.5, "standard_error": 0.001, "seconds": 9.0},
        {"kind": "train", "step": 100, "loss": 1.0, "seconds": 62.0},
        {"kind": "validation", "step": 100, "difference": 0.01, "standard_error": 0.001, "seconds": 9.0},
        {"kind": "train", "step": 200, "loss": 1.0, "seconds": 120.0},
        {"kind": "validation", "step": 200, "difference": 0.02, "standard_error": 0.001, "seconds": 9.0},
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path
