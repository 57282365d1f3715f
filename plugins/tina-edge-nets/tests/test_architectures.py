"""Each network passes the standard tests, has the stated size, and works in zoo, training and generation."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tina_edge_nets.mlp import edge_mlp
from tina_edge_nets.separable import cnn_separable
from tina_framework import TargetArchitecture, list_architectures, registries
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.testing import ArchitectureTests

SIZES = {cnn_separable: (10_544, 65), edge_mlp: (18_528, 97)}
"""Shared parameters and parameters per class, as the docstrings state."""

NETWORKS = pytest.mark.parametrize("architecture", list(SIZES), ids=lambda architecture: architecture.name)


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
    for count in range(2, 11):
        assert spec.num_parameters(count) == shared + count * per_class < 20_000


def test_sizes_at_ten_classes() -> None:
    sizes = {a.name: ParameterSpec(a).num_parameters(10) for a in SIZES}
    assert sizes == {"cnn-separable": 11_194, "edge-mlp": 19_498}


def answers(network: nn.Module, images: Tensor, bfloat16: bool) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        logits: Tensor = network(images)
    return logits


@NETWORKS
def test_in_bfloat16_the_answer_is_the_same_up_to_rounding(architecture: TargetArchitecture) -> None:
    torch.manual_seed(0)
    network, images = architecture.build(5), torch.rand(32, 3, 32, 32) * 2 - 1
    plain, rounded = answers(network, images, False), answers(network, images, True)
    assert rounded.dtype == torch.float32
    # Relative to the differences between pictures. They are much smaller than the logits, which are mostly bias at first.
    assert (rounded - plain).norm() < 0.05 * (plain - plain.mean(0)).norm()


@NETWORKS
def test_in_bfloat16_a_shift_common_to_all_logits_hides_nothing(architecture: TargetArchitecture) -> None:
    torch.manual_seed(0)
    network, images = architecture.build(5), torch.rand(32, 3, 32, 32) * 2 - 1
    before = answers(network, images, True)
    with torch.no_grad():
        network.get_parameter("fc.bias").add_(300.0)  # in bfloat16 the next number is 302
    assert torch.allclose(answers(network, images, True) - 300.0, before, atol=1e-4)


def test_the_hooks_import_nothing_heavy() -> None:
    code = "import sys, tina_edge_nets.plugin; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["cnn-2layer", "cnn-3layer", "cnn-separable", "edge-mlp"])
def test_the_readme_gives_the_counts_that_the_benchmark_prints(name: str) -> None:
    architecture = registries().architectures.create(name)
    folder = Path(__file__).resolve().parent.parent
    multiply_adds = runpy.run_path(str(folder / "benchmarks" / "speed.py"))["multiply_adds"]
    with torch.inference_mode():
        counted = multiply_adds(architecture.build(10), torch.zeros(1, 3, 32, 32))
    row = f"| `{architecture.name}` | {ParameterSpec(architecture).num_parameters(10):,} | {counted:,} |"
    assert row in (folder / "README.md").read_text(encoding="utf-8")


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
