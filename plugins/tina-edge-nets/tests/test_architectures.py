"""Each network passes the standard tests, has the size it says, and goes through zoo, training and generation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tina_edge_nets.cnn_3layer import cnn_3layer
from tina_edge_nets.mlp import edge_mlp
from tina_edge_nets.separable import cnn_separable
from tina_framework import TargetArchitecture, list_architectures
from tina_framework.spec import ParameterSpec
from tina_framework.testing import ArchitectureTests

SIZES = {cnn_3layer: (14_256, 33), cnn_separable: (10_544, 65), edge_mlp: (18_528, 97)}
"""Shared parameters, and parameters a class, as the docstrings say."""

NETWORKS = pytest.mark.parametrize("architecture", list(SIZES), ids=lambda architecture: architecture.name)


class TestThreeLayers(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return cnn_3layer


class TestSeparable(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return cnn_separable


class TestMLP(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return edge_mlp


def test_they_are_found() -> None:
    assert {a.name for a in SIZES} <= set(list_architectures())


@NETWORKS
def test_sizes(architecture: TargetArchitecture) -> None:
    shared, per_class = SIZES[architecture]
    spec = ParameterSpec(architecture)
    for count in (2, 5, 10):
        assert spec.num_parameters(count) == shared + count * per_class < 20_000


@NETWORKS
def test_in_bfloat16_the_answer_is_the_same_up_to_rounding(architecture: TargetArchitecture) -> None:
    torch.manual_seed(0)
    network, images = architecture.build(5), torch.rand(8, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        plain = network(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = network(images)
    assert rounded.dtype == torch.float32
    assert float((rounded - plain).abs().max()) < 0.05


@pytest.mark.slow
@NETWORKS
def test_zoo_training_generation(architecture: TargetArchitecture, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

    def tina(*words: str) -> str:
        command = [sys.executable, "-m", "tina_framework.cli", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    (tmp_path / "zoo.toml").write_text(
        "num_models = 2\n[class_counts]\n3 = 1\n[generic]\nepochs = 1\n[model]\nepochs = 1\n"
    )
    build = ("zoo", "build", "--out", "zoo", "--dataset", "shapes:8", "--architecture", architecture.name)
    tina(*build, "--config", "zoo.toml", "--workers", "1")
    train = ("train", "--output_dir", "run", "--dataset", "shapes:8", "--zoo", "zoo", "--encoders", "clip-lite")
    tina(*train, "--preset", "tiny", "--max_classes", "3", "--class_counts", "3", "--max_steps", "2", "--images_per_task", "6",
         "--num_validation_tasks", "0")  # fmt: skip
    made = tina("generate", "solid red circle", "striped blue square", "--model", "run/generator", "--out", "mine")
    assert "without training" in made
    shared, per_class = SIZES[architecture]
    weights = load_file(tmp_path / "mine" / "model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == shared + 2 * per_class
