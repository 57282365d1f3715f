"""Zoo, training, generation and evaluation with zero-shot CLIP, on a tiny CLIP, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tina_framework.builtins.datasets.shapes import CLASS_NAMES, shapes

pytestmark = pytest.mark.slow

RECIPE = "num_models = 2\n[class_counts]\n3 = 1\n[generic]\nepochs = 2\nlr = 0.01\n[model]\nepochs = 1\nlr = 0.01\n"

ENCODER = ("--encoder", "embedding-table:texts.npz")
"""Named by the caller: a generator's folder alone may not open files elsewhere."""

Array = Any


def features(clip: Path, images: Array) -> Array:
    """Return (N, E) unit features of pictures (N, 32, 32, 3) uint8, computed by transformers alone."""
    from transformers import AutoImageProcessor, CLIPModel

    pixels = AutoImageProcessor.from_pretrained(clip)(images=list(images), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        found = CLIPModel.from_pretrained(clip).eval().get_image_features(pixel_values=pixels)
    rows = getattr(found, "pooler_output", found).numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write_texts(path: Path, clip: Path) -> Array:
    """Write text vectors (T, M, E) in the space of the tiny CLIP that fit its pictures roughly, like those of a trained text tower.

    They are the mean features of a class minus the mean of all, plus noise. One template has longer vectors than the other.
    """
    train = shapes("8").load("train")
    found = features(clip, train.images)
    means = np.stack([found[train.labels == row].mean(axis=0) for row in range(len(CLASS_NAMES))]) - found.mean(axis=0)
    noise = np.random.default_rng(0).standard_normal((2, *means.shape)) * means.std()
    vectors = ((means + noise) * np.array([1.0, 30.0])[:, None, None]).astype(np.float32)
    names, prompts = np.array(CLASS_NAMES), np.array(["a {}", "a photo of a {}"])
    np.savez(path, names=names, vectors=vectors, templates=prompts, space=np.array("local/tiny"))
    return vectors


def zero_shot_by_hand(clip: Path, vectors: Array, classes: list[str]) -> float:
    """Accuracy of transformers' own features against the mean of both templates, on the task's test pictures."""
    test = shapes("8").load("test")
    rows = np.array([CLASS_NAMES.index(name) for name in classes])
    chosen = np.isin(test.labels, rows)
    texts = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).mean(axis=0)[rows]
    cosines = features(clip, test.images[chosen]) @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T
    return float((rows[cosines.argmax(axis=1)] == test.labels[chosen]).mean())


def test_zoo_training_generation_evaluation(tiny: Path, other: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TINA_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}

    def tina(*words: str, clip: Path = tiny, code: int = 0) -> str:
        command = [sys.executable, "-m", "tina_framework.cli", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env={**environment, "TINA_VIT_HEAD_CLIP": str(clip)}, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    vectors = write_texts(tmp_path / "texts.npz", tiny)
    (tmp_path / "zoo.toml").write_text(RECIPE)
    data = ("--dataset", "shapes:8")
    tina("zoo", "build", "--out", "zoo", *data, "--architecture", "vit-head", "--config", "zoo.toml", "--workers", "2")
    train = ("train", "--output_dir", "run", *data, "--zoo", "zoo", "--encoders", "embedding-table:texts.npz")
    tina(*train, "--preset", "tiny", "--max_classes", "3", "--class_counts", "3", "--max_steps", "2", "--images_per_task", "6",
         "--num_validation_tasks", "2", "--validation_steps", "2")  # fmt: skip

    made = tina(
        "generate", "solid red circle", "striped blue square", "--model", "run/generator", *ENCODER, "--out", "mine"
    )
    assert "without training" in made
    assert sum(tensor.numel() for tensor in load_file(tmp_path / "mine" / "model.safetensors").values()) == 50
    recorded = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert recorded["trunk"]["name"] == "local/tiny image tower"
    refused = tina(
        "generate", "solid red circle", "striped blue square", "--model", "run/generator", *ENCODER, clip=other, code=1
    )
    assert "Traceback" not in refused
    assert "was made for trunk 'local/tiny image tower'" in " ".join(refused.split())

    tina("zoo", "tasks", "tasks.json", *data, "--num-tasks", "3", "--classes", "3")
    # No --methods: for this architecture, zero-shot is among those that run by default.
    tina(
        "evaluate",
        "--model",
        "run/generator",
        *ENCODER,
        *data,
        "--tasks",
        "tasks.json",
        "--zoo",
        "zoo",
        "--out",
        "results",
    )
    summary = json.loads((tmp_path / "results" / "results.json").read_text())
    rows = {row["method"]: row for row in summary["rows"]}
    assert {"tina", "selection", "fine-tune", "zero-shot"} <= rows.keys()
    assert rows["zero-shot"]["parameters"] == 75
    assert {row["method"] for row in summary["paired"]} >= {"tina", "zero-shot"}
    tasks = json.loads((tmp_path / "results" / "tasks.json").read_text())["tasks"]
    assert len(tasks) == 3
    for task in tasks:
        # Rounding may turn one of the 60 pictures.
        expected = zero_shot_by_hand(tiny, vectors, task["classes"])
        assert task["accuracy"]["zero-shot"] == pytest.approx(expected, abs=1.5 / 60)
