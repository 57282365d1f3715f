"""Zoo, training, generation and the saved folder, on a small data set, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

RECIPE = "num_models = 2\n[class_counts]\n3 = 1\n[generic]\nepochs = 2\n[model]\nepochs = 1\n"


@pytest.mark.parametrize(("architecture", "parameters"), [("resnet20-head", 130), ("resnet20", 268_523)])
def test_zoo_training_generation(architecture: str, parameters: int, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TINA_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}

    def tina(*words: str) -> str:
        command = [sys.executable, "-m", "tina_framework.cli", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    (tmp_path / "zoo.toml").write_text(RECIPE)
    build = ("zoo", "build", "--out", "zoo", "--dataset", "shapes:8", "--architecture", architecture)
    tina(*build, "--config", "zoo.toml", "--workers", "2")
    train = ("train", "--output_dir", "run", "--dataset", "shapes:8", "--zoo", "zoo", "--encoders", "clip-lite")
    tina(*train, "--preset", "tiny", "--max_classes", "3", "--class_counts", "3", "--max_steps", "2", "--images_per_task", "6",
         "--num_validation_tasks", "2", "--validation_steps", "2")  # fmt: skip
    made = tina("generate", "solid red circle", "striped blue square", "--model", "run/generator", "--out", "mine")
    assert "without training" in made
    weights = load_file(tmp_path / "mine" / "model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == parameters
    recorded = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert (recorded.get("trunk", {}).get("name") == "resnet20-cifar100") == (architecture == "resnet20-head")
    tina("zoo", "tasks", "--dataset", "shapes:8", "tasks.json", "--num-tasks", "2", "--classes", "3")
    evaluated = tina("evaluate", "--model", "run/generator", "--dataset", "shapes:8", "--tasks", "tasks.json",
                     "--split", "validation", "--methods", "tina,selection", "--out", "results")  # fmt: skip
    assert "selection" in evaluated
