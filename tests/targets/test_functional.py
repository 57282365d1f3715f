"""Losses and gradients of generated networks against plain autograd through the module."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.functional import TargetRunner, autocast, resolve_precision

SPEC = ParameterSpec(cnn_2layer)
COUNTS = [10, 3, 3, 5]


def batch():
    generator = torch.Generator().manual_seed(0)
    flats = [0.1 * torch.randn(SPEC.num_parameters(k), generator=generator) for k in COUNTS]
    images = [torch.randn(12, 3, 32, 32, generator=generator) for _ in COUNTS]
    labels = [torch.randint(0, k, (12,), generator=generator) for k in COUNTS]
    return flats, images, labels


def reference(flats, images, labels):
    losses, gradients = [], []
    for flat, k, x, y in zip(flats, COUNTS, images, labels, strict=True):
        leaf = flat.clone().requires_grad_(True)
        loss = F.cross_entropy(functional_call(cnn_2layer.build(k), SPEC.unflatten(leaf, k), (x,)), y)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(leaf.grad)
    return torch.stack(losses), gradients


@pytest.mark.parametrize("workers", [1, 3])
def test_losses_and_gradients(workers):
    flats, images, labels = batch()
    losses, gradients = TargetRunner(SPEC, "fp32", workers).losses_and_gradients(flats, COUNTS, images, labels)
    expected_losses, expected = reference(flats, images, labels)
    torch.testing.assert_close(losses, expected_losses)
    for got, want in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-4)


def test_vmapped_form_is_the_same():
    """What a GPU uses, run here on the CPU."""
    flats, images, labels = batch()
    losses, gradients = TargetRunner(SPEC, "fp32")._batched(flats, COUNTS, images, labels)
    expected_losses, expected = reference(flats, images, labels)
    torch.testing.assert_close(losses, expected_losses, atol=1e-5, rtol=1e-4)
    for got, want in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-3)


def test_task_loss_reaches_what_made_the_parameters():
    flats, images, labels = batch()
    scale = torch.ones((), requires_grad=True)
    losses = TargetRunner(SPEC, "fp32", 2).task_loss([f * scale for f in flats], COUNTS, images, labels)
    expected_losses, gradients = reference(flats, images, labels)
    torch.testing.assert_close(losses.detach(), expected_losses)
    losses.sum().backward()
    expected = sum(float((f * g).sum()) for f, g in zip(flats, gradients, strict=True))
    assert float(scale.grad) == pytest.approx(expected, rel=1e-4)


def test_bf16_is_close():
    flats, images, labels = batch()
    exact, _ = TargetRunner(SPEC, "fp32").losses_and_gradients(flats, COUNTS, images, labels)
    rough, gradients = TargetRunner(SPEC, "bf16").losses_and_gradients(flats, COUNTS, images, labels)
    torch.testing.assert_close(rough, exact, atol=0.02, rtol=0.02)
    assert all(g.dtype == torch.float32 for g in gradients)


def test_precision_names():
    assert resolve_precision(torch.device("cpu"), "fp32") == "fp32"
    assert resolve_precision(torch.device("cpu"), "auto") in ("fp32", "bf16")
    with autocast(torch.device("cpu"), "bf16"):
        assert torch.is_autocast_enabled("cpu")
    with autocast(torch.device("cpu"), "fp32"):
        assert not torch.is_autocast_enabled("cpu")
