"""Whitening: exact inverse, which weights it mixes, and what a checkpoint keeps of it."""

from __future__ import annotations

import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.whitening import Whitening, factor_shapes
from tina_framework.errors import CheckpointError
from tina_framework.interfaces.spec import ParameterSpec

SPEC = ParameterSpec(cnn_2layer)
WEIGHTS = ("conv1.weight", "conv2.weight", "fc.weight")


def whitening() -> Whitening:
    generator = torch.Generator().manual_seed(0)
    factors = {}
    for name, shape in factor_shapes(SPEC, WEIGHTS).items():
        random = torch.randn(shape, generator=generator)
        factors[name] = random @ random.T / shape[0] + torch.eye(shape[0])
    return Whitening(SPEC, factors)


def test_shapes_of_the_factors() -> None:
    assert factor_shapes(SPEC, WEIGHTS) == {
        "left.conv1.weight": (16, 16),
        "right.conv1.weight": (27, 27),
        "left.conv2.weight": (32, 32),
        "right.conv2.weight": (144, 144),
        "right.fc.weight": (32, 32),  # no left factor: each class is a row
    }


@pytest.mark.parametrize("num_classes", [2, 7])
def test_inverse(num_classes: int) -> None:
    flat = torch.randn(3, SPEC.num_parameters(num_classes))
    mixed = whitening().apply(flat, num_classes)
    assert not torch.allclose(mixed, flat, atol=0.1)
    torch.testing.assert_close(whitening().invert(mixed, num_classes), flat, atol=1e-4, rtol=1e-4)


def test_a_weight_is_multiplied_from_both_sides_and_a_bias_stays() -> None:
    flat = torch.randn(SPEC.num_parameters(4))
    made = whitening()
    before, after = SPEC.unflatten(flat, 4), SPEC.unflatten(made.apply(flat, 4), 4)
    left, right = made.factors["left.conv1.weight"], made.factors["right.conv1.weight"]
    expected = (left @ before["conv1.weight"].flatten(1) @ right).view(16, 3, 3, 3)
    torch.testing.assert_close(after["conv1.weight"], expected)
    torch.testing.assert_close(after["fc.weight"], before["fc.weight"] @ made.factors["right.fc.weight"])
    assert torch.equal(after["fc.bias"], before["fc.bias"])


def test_the_normalizer_whitens_and_its_tensors_bring_the_factors_back() -> None:
    generic = {p.name: torch.randn(p.shape) for p in SPEC.parameters(20)}
    normalizer = Normalizer.fit(SPEC, generic)
    plain = torch.randn(2, SPEC.num_parameters(5))
    unwhitened = normalizer.normalize(plain, 5)
    normalizer.whitening = whitening()
    whitened = normalizer.normalize(plain, 5)
    assert not torch.allclose(whitened, unwhitened, atol=0.1)
    torch.testing.assert_close(normalizer.whitening.apply(whitened, 5), unwhitened, atol=1e-4, rtol=1e-4)
    again = Normalizer.from_tensors(SPEC, normalizer.state_dict(), WEIGHTS)
    torch.testing.assert_close(again.denormalize(whitened, 5), plain, atol=1e-4, rtol=1e-4)


def test_factors_that_are_not_announced_or_missing_are_refused() -> None:
    normalizer = Normalizer.fit(SPEC, {p.name: torch.randn(p.shape) for p in SPEC.parameters(20)})
    with pytest.raises(CheckpointError, match=r"lacks left\.conv1\.weight"):
        Normalizer.from_tensors(SPEC, normalizer.state_dict(), WEIGHTS)
    normalizer.whitening = whitening()
    with pytest.raises(CheckpointError, match=r"unknown left\.conv1\.weight"):
        Normalizer.from_tensors(SPEC, normalizer.state_dict())


@pytest.mark.parametrize(
    ("change", "message"), [("singular", "not positive"), ("negative", "not positive"), ("uneven", "not symmetric")]
)
def test_factors_that_are_no_inverse_roots_are_refused(change: str, message: str) -> None:
    normalizer = Normalizer.fit(SPEC, {p.name: torch.randn(p.shape) for p in SPEC.parameters(20)})
    normalizer.whitening = whitening()
    tensors = normalizer.state_dict()
    factor = tensors["right.conv2.weight"]
    if change == "uneven":
        factor[0, 1] += 0.1
    else:
        factor[3] = factor[:, 3] = 0.0
        factor[3, 3] = -1.0 if change == "negative" else 0.0
    with pytest.raises(CheckpointError, match=f"'right.conv2.weight' .*{message}"):
        Normalizer.from_tensors(SPEC, tensors, WEIGHTS)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_factors_in_half_precision_are_read(dtype: torch.dtype) -> None:
    rounded = {
        name: (factor + 1e-6 * torch.randn(factor.shape)).to(dtype) for name, factor in whitening().factors.items()
    }
    assert not torch.equal(rounded["right.conv2.weight"], rounded["right.conv2.weight"].T)
    assert Whitening.from_tensors(SPEC, rounded, "a test").names == WEIGHTS


def test_the_scale_is_the_spread_of_whitened_differences() -> None:
    made = whitening()
    generic = {p.name: torch.zeros(p.shape) for p in SPEC.parameters(20)}
    moved = made.apply(torch.full((SPEC.num_parameters(3),), 0.5), 3)
    normalizer = Normalizer.fit(SPEC, generic, [lambda: [(moved, 3)]], whitening=made)
    assert all(float(scale) == pytest.approx(0.5, rel=1e-3) for scale in normalizer.scale.values())
    torch.testing.assert_close(normalizer.normalize(moved, 3), torch.ones_like(moved), atol=1e-3, rtol=1e-3)
