"""Zoo, training, generation and the saved folder, on a small data set, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RECIPE = "num_models = 2\n[class_counts]\n3 = 1\n[generic]\nepochs = 2\n[model]\nepochs = 1\n"


def test_zoo_training_generation(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TINA_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}

    def tina(*words: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "tina_framework.cli", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == status, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    (tmp_path / "zoo.toml").write_text(RECIPE)
    build = ("zoo", "build", "--out", "zoo", "--dataset", "shapes:8")
    refused = tina(*build, "--architecture", "photo-head:100", status=2)
    assert "takes no pictures of size '100'" in " ".join(refused.split())
    tina(*build, "--architecture", "photo-head:128", "--config", "zoo.toml", "--workers", "1")
    train = ("train", "--output_dir", "run", "--dataset", "shapes:8", "--zoo", "zoo", "--encoders", "clip-lite")
    tina(*train, "--preset", "tiny", "--max_classes", "3", "--class_counts", "3", "--max_steps", "2", "--images_per_task", "6",
         "--num_validation_tasks", "2", "--validation_steps", "2")  # fmt: skip
    tina("generate", "solid red circle", "striped blue square", "--model", "run/generator", "--out", "mine")
    recorded = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert recorded["architecture"] == "photo-head:128"
    assert recorded["trunk"]["name"] == "efficientnet-lite0"
    assert recorded["preprocessing"]["crop_pct"] == 0.875
    assert recorded["plugins"] == ["tina-photos"]
