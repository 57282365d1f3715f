"""The whole command, without a generator: on drawn pictures, with random vectors of names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "photos.py"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Six classes of 22 pictures in one color each, and a table in which three of the names have vectors."""
    draws = np.random.default_rng(0)
    texts = {}
    for number, color in enumerate(("red", "green", "blue", "white", "black", "yellow")):
        folder = tmp_path / "pictures" / color
        folder.mkdir(parents=True)
        for index in range(22):
            pixels = np.array(Image.new("RGB", (40, 32), color))
            noise = draws.integers(0, 40, pixels.shape, dtype=np.uint8)
            Image.fromarray(np.where(pixels > 128, pixels - noise, pixels + noise)).save(folder / f"{index}.png")
        texts[color] = {"name": f"{color} paint", "description": f"colour number {number} of a box"}
    (tmp_path / "names.json").write_text(json.dumps(texts))
    names = [f"label {number}" for number in range(1000)] + ["red paint", "blue paint", "green paint", "white paints"]
    sources = ["imagenet1k"] * 1000 + ["other"] * 4
    vectors = draws.standard_normal((1004, 16)).astype(np.float16)
    np.savez(tmp_path / "table.npz", source=np.array(sources), name=np.array(names), emb=vectors)
    return tmp_path


@pytest.mark.slow
def test_baselines_are_measured_and_written(world: Path) -> None:
    environment = {**os.environ, "TINA_CACHE": str(world / "cache"), "OMP_NUM_THREADS": "1"}
    words = ["--pictures", "pictures", "--names", "names.json", "--vectors", "table.npz", "--out", "out"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), *words, *more]
        return subprocess.run(command, cwd=world, env=environment, capture_output=True, text=True, check=False)

    done = run("--baselines-only", "--sizes", "128", "--tasks", "3", "--test")
    assert done.returncode == 0, done.stderr
    results = json.loads((world / "out" / "photos.json").read_text())
    assert results["seed"] == 0
    assert "--baselines-only" in results["command"]
    tables = {table["title"]: table for table in results["tables"]}
    words_table = tables["Names in words, classes for choosing, 128 px"]
    assert words_table["groups"]["all names"]["num_classes"] == 3
    few = tables["A few photographs, classes for choosing, 128 px"]["groups"]
    [group] = few.values()
    assert group["methods"]["class means, 5 photographs"]["mean"] == 100
    text = (world / "out" / "photos.md").read_text()
    assert "| ridge regression |" in text
    assert "classes of the test" in text

    (world / "names.json").write_text("{}")
    refused = run("--baselines-only")
    assert refused.returncode != 0
    assert "has no name and description of the class 'black'" in refused.stderr
