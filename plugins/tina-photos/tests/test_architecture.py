"""The cosine head: the standard tests, its formula, its sizes, and what zeros and half precision do to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tina_framework import TargetArchitecture, list_architectures, registries
from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.testing import ArchitectureTests
from tina_framework.zoo.image_bank import for_architecture
from tina_photos.architecture import SCALE, CosineHead, photo_head


class TestAtDefaultSize(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return photo_head()


class TestAtSmallestSize(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return photo_head("128")


def test_it_is_found() -> None:
    assert "photo-head" in list_architectures("photo*")


@pytest.mark.parametrize(
    ("spec", "name", "size"),
    [
        ("photo-head", "photo-head", 160),
        ("photo-head:160", "photo-head:160", 160),
        ("photo-head:128", "photo-head:128", 128),
        ("photo-head:224", "photo-head:224", 224),
    ],
)
def test_sizes(spec: str, name: str, size: int) -> None:
    made = registries().architectures.create(spec)
    assert (made.name, made.input_shape, made.network_input) == (name, (3, size, size), (1280,))
    assert made is registries().architectures.create(name)
    # One trunk for all sizes, so that it is loaded and hashed once.
    assert made.trunk == photo_head().trunk
    assert ParameterSpec(made).num_parameters(10) == 12_810


@pytest.mark.parametrize("size", ["", "100", "129", "0160", "abc", "-128", "256"])
def test_other_sizes_are_refused(size: str) -> None:
    with pytest.raises(ConfigError, match=r"takes no pictures of size .*; write one of photo-head:128, "):
        registries().architectures.create(f"photo-head:{size}")


def test_logits_are_scaled_cosines() -> None:
    torch.manual_seed(0)
    head, features = CosineHead(7), torch.rand(5, 1280)
    expected = SCALE * F.cosine_similarity(features[:, None], head.fc.weight[None], dim=-1) + head.fc.bias
    torch.testing.assert_close(head(features), expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        before = head(features)
        head.fc.weight.mul_(torch.linspace(0.1, 10, 7)[:, None])
    torch.testing.assert_close(head(3 * features), before, rtol=1e-3, atol=1e-3)


def test_zeros_give_finite_values_and_gradients() -> None:
    head, features = CosineHead(3), torch.zeros(2, 1280, requires_grad=True)
    with torch.no_grad():
        head.fc.weight.zero_()
    logits = head(features)
    torch.testing.assert_close(logits, head.fc.bias.expand(2, 3))
    F.cross_entropy(logits + head(torch.rand(2, 1280)), torch.tensor([0, 1])).backward()
    for gradient in (features.grad, head.fc.weight.grad, head.fc.bias.grad):
        assert gradient is not None
        assert bool(gradient.isfinite().all())


def test_in_bfloat16_the_answer_is_the_same() -> None:
    torch.manual_seed(0)
    head, features = CosineHead(5), torch.rand(8, 1280)
    with torch.no_grad():
        plain = head(features)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = head(features)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, plain)


@pytest.mark.parametrize(("size", "expected"), [(None, 183), ("128", 147), ("224", 256)])
def test_folders_of_photographs_are_read_at_its_size(tmp_path: Path, size: str | None, expected: int) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (300, 200)).save(tmp_path / name / f"{number}.jpg")
    data = for_architecture(registries().datasets.create(f"image-folder:{tmp_path}"), photo_head(size))
    assert data.load("train").images.shape[1:] == (expected, expected, 3)


def test_it_is_a_head() -> None:
    assert ParameterSpec(photo_head()).is_head
