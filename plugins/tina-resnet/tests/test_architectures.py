"""Both architectures pass the standard tests, and folding batch norm changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tina_resnet.architectures
from tina_framework import TargetArchitecture, list_architectures
from tina_framework.errors import CheckpointError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import write_safetensors
from tina_framework.testing import ArchitectureTests
from tina_resnet.architectures import WEIGHTS, load_trunk, resnet20, resnet20_head
from tina_resnet.resnet20 import ResNet20, Trunk, fold, trainable_trunk


class TestHead(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return resnet20_head


class TestWholeNetwork(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return resnet20


def test_they_are_found() -> None:
    assert list_architectures("resnet20*") == ["resnet20", "resnet20-head"]


def test_sizes() -> None:
    assert ParameterSpec(resnet20_head).num_parameters(10) == 650
    assert ParameterSpec(resnet20).num_parameters(10) == 269_043
    assert WEIGHTS.stat().st_size <= 2_000_000


def test_folding_batch_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    trained = trainable_trunk()
    for parameter in trained.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    images = torch.randn(16, 3, 32, 32)
    trained.train()
    trained(images)
    trained.eval()
    folded = Trunk()
    folded.load_state_dict(fold(trained.state_dict()))
    with torch.no_grad():
        torch.testing.assert_close(folded(images), trained(images), rtol=1e-4, atol=1e-4)


def test_the_whole_network_starts_as_a_short_one_and_trains() -> None:
    torch.manual_seed(0)
    network = ResNet20(3)
    images = torch.randn(4, 3, 32, 32)
    loss = torch.nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    scales = [p for name, p in network.named_parameters() if name.endswith("branch")]
    assert len(scales) == 9
    assert all(float(p.detach()) == 0 and float(p.grad.abs()) > 0 for p in scales if p.grad is not None)
    assert all(p.grad is not None for p in scales)


def test_in_bfloat16_the_answer_is_the_same_up_to_rounding() -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 3, 32, 32)
    for network, given in ((ResNet20(5), images), (resnet20_head.build(5), torch.randn(8, 64))):
        with torch.no_grad():
            plain = network(given)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded = network(given)
        assert rounded.dtype == torch.float32
        assert float((rounded - plain).abs().max()) < 0.05


def test_a_damaged_file_of_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resnet20-cifar100.safetensors"
    monkeypatch.setattr(tina_resnet.architectures, "WEIGHTS", path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_trunk()
    write_safetensors(path, {"conv.weight": torch.zeros(16, 3, 3, 3)})
    with pytest.raises(CheckpointError, match=r"'resnet20-cifar100\.safetensors' of tina-resnet lacks"):
        load_trunk()
