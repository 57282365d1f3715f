"""Losses and gradients of generated networks against plain autograd through the module."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.targets.device import FORCE_BATCHED_VARIABLE
from tina_framework.targets.distillation import SoftTargets, image_losses
from tina_framework.targets.functional import TargetRunner, autocast, resolve_precision

COUNTS = [10, 3, 3, 5]
MOST = max(COUNTS)


class Centred(nn.Module):
    """A head whose logits sum to zero: each one depends on all class slots."""

    def __init__(self, num_classes):
        super().__init__()
        self.linear = nn.Linear(48, num_classes)

    def forward(self, images):
        logits = self.linear(images[:, :, ::8, ::8].flatten(1))
        return logits - logits.mean(dim=1, keepdim=True) ** 2


CENTRED = TargetArchitecture(name="centred", build=Centred)
ARCHITECTURES = [registries().architectures.create(name) for name in registries().architectures.names()] + [CENTRED]
SPEC = ParameterSpec(ARCHITECTURES[0])


def batch(spec=SPEC):
    rng = torch.Generator().manual_seed(0)
    flats = 0.1 * torch.randn(len(COUNTS), spec.num_parameters(MOST), generator=rng)
    images = torch.randn(len(COUNTS), 12, *spec.architecture.network_input, generator=rng)
    labels = torch.stack([torch.randint(0, k, (12,), generator=rng) for k in COUNTS])
    mask = torch.arange(MOST) < torch.tensor(COUNTS)[:, None]
    return flats, mask, images, labels


def reference(spec, flats, mask, images, labels):
    losses, gradients = [], []
    for flat, k, x, y in zip(flats, COUNTS, images, labels, strict=True):
        leaf = flat.clone().requires_grad_(True)
        state = spec.unflatten(spec.narrow(leaf, MOST, k), k)
        loss = F.cross_entropy(functional_call(spec.architecture.build(k), state, (x,)), y)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(leaf.grad)
    return torch.stack(losses), torch.stack(gradients)


@pytest.mark.parametrize("workers", [1, 3])
def test_losses_and_gradients(workers):
    losses, gradients = TargetRunner(SPEC, "fp32", workers).losses_and_gradients(*batch())
    expected_losses, expected = reference(SPEC, *batch())
    torch.testing.assert_close(losses, expected_losses)
    torch.testing.assert_close(gradients, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
def test_the_code_of_a_gpu_gives_the_same(monkeypatch, architecture):
    spec = ParameterSpec(architecture)
    alone = TargetRunner(spec, "fp32").losses_and_gradients(*batch(spec))
    monkeypatch.setenv(FORCE_BATCHED_VARIABLE, "1")
    runner, calls = TargetRunner(spec, "fp32"), []
    together = runner._together
    runner._together = lambda *args: (calls.append(args[1]), together(*args))[1]
    losses, gradients = runner.losses_and_gradients(*batch(spec))
    # Empty slots change the network in the centred head alone, so it runs once for each class count.
    assert calls == ([3, 5, 10] if architecture is CENTRED else [10])
    torch.testing.assert_close(losses, alone[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(gradients, alone[1], atol=1e-5, rtol=0)
    empty = spec.widen(torch.ones(len(COUNTS), spec.num_parameters(3)), 3, MOST) == 0
    assert not gradients[1:3][empty[1:3]].any()


def test_convolutions_as_matrix_products_give_the_same(monkeypatch):
    monkeypatch.setenv(FORCE_BATCHED_VARIABLE, "1")
    found, expected = (
        TargetRunner(SPEC, "fp32", convolution=name).losses_and_gradients(*batch()) for name in ("im2col", "grouped")
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_task_loss_reaches_what_made_the_parameters():
    flats, mask, images, labels = batch()
    scale = torch.ones((), requires_grad=True)
    losses = TargetRunner(SPEC, "fp32", 2).task_loss(flats * scale, mask, images, labels)
    expected_losses, gradients = reference(SPEC, flats, mask, images, labels)
    torch.testing.assert_close(losses.detach(), expected_losses)
    losses.sum().backward()
    assert float(scale.grad) == pytest.approx(float((flats * gradients).sum()), rel=1e-4)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_the_code_of_a_gpu_takes_bf16_on_a_cpu(monkeypatch, stored):
    monkeypatch.setenv(FORCE_BATCHED_VARIABLE, "1")
    flats, mask, images, labels = batch()
    losses, gradients = TargetRunner(SPEC, "bf16").losses_and_gradients(flats, mask, images.to(stored), labels)
    expected, _ = reference(SPEC, flats, mask, images, labels)
    torch.testing.assert_close(losses, expected, atol=0.05, rtol=0.05)
    assert gradients.dtype == torch.float32


def test_bf16_is_close():
    exact, _ = TargetRunner(SPEC, "fp32").losses_and_gradients(*batch())
    rough, gradients = TargetRunner(SPEC, "bf16").losses_and_gradients(*batch())
    torch.testing.assert_close(rough, exact, atol=0.02, rtol=0.02)
    assert gradients.dtype == torch.float32


def test_precision_names():
    assert resolve_precision(torch.device("cpu"), "fp32") == "fp32"
    assert resolve_precision(torch.device("cpu"), "auto") in ("fp32", "bf16")
    with autocast(torch.device("cpu"), "bf16"):
        assert torch.is_autocast_enabled("cpu")
    with autocast(torch.device("cpu"), "fp32"):
        assert not torch.is_autocast_enabled("cpu")


def test_closing_ends_the_threads_until_they_are_needed_again():
    runner = TargetRunner(SPEC, "fp32", workers=3)
    first, _ = runner.losses_and_gradients(*batch())
    threads = list(runner._pool._threads)
    runner.close()
    assert not any(thread.is_alive() for thread in threads)
    assert torch.equal(runner.losses_and_gradients(*batch())[0], first)
    runner.close()


@pytest.mark.parametrize("batched", [False, True])
def test_a_teacher_gives_the_same_gradients_alone_and_together(monkeypatch, batched):
    flats, mask, images, labels = batch()
    rng = torch.Generator().manual_seed(1)
    soft = SoftTargets(torch.randn(len(COUNTS), 12, MOST, generator=rng), 0.7, 2.0)
    if batched:
        monkeypatch.setenv(FORCE_BATCHED_VARIABLE, "1")
    losses, gradients = TargetRunner(SPEC, "fp32").losses_and_gradients(flats, mask, images, labels, soft)
    for row, count in enumerate(COUNTS):
        leaf = flats[row].clone().requires_grad_(True)
        state = SPEC.unflatten(SPEC.narrow(leaf, MOST, count), count)
        logits = functional_call(SPEC.architecture.build(count), state, (images[row],))
        loss = image_losses(logits, labels[row], SoftTargets(soft.logits[row, :, :count], 0.7, 2.0)).mean()
        loss.backward()
        torch.testing.assert_close(losses[row], loss.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradients[row], leaf.grad, rtol=1e-3, atol=1e-5)


DRAW_COUNTS = [10, 10, 3, 3, 5, 5]


def groups(spec):
    """Three tasks of two networks each, with images, labels and a teacher for each task."""
    rng = torch.Generator().manual_seed(0)
    flats = 0.1 * torch.randn(6, spec.num_parameters(MOST), generator=rng)
    images = torch.randn(3, 12, *spec.architecture.network_input, generator=rng)
    labels = torch.stack([torch.randint(0, k, (12,), generator=rng) for k in DRAW_COUNTS[::2]])
    soft = SoftTargets(torch.randn(3, 12, MOST, generator=rng), 0.7, 2.0)
    return flats, torch.arange(MOST) < torch.tensor(DRAW_COUNTS)[:, None], images, labels, soft


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("taught", [False, True])
def test_draws_of_a_task_share_a_loss(workers, taught):
    flats, mask, images, labels, soft = groups(SPEC)
    soft = soft if taught else None
    leaf, expected = flats.clone().requires_grad_(True), []
    for group, count in enumerate(DRAW_COUNTS[::2]):
        rows = leaf[2 * group : 2 * group + 2]
        states = [SPEC.unflatten(SPEC.narrow(row, MOST, count), count) for row in rows]
        logits = [functional_call(SPEC.architecture.build(count), state, (images[group],)) for state in states]
        own = None if soft is None else soft.of_network(group, count)
        mean = torch.stack(logits).softmax(-1).mean(0).log()
        joint = image_losses(mean, labels[group], own).mean()
        expected += [0.75 * image_losses(one, labels[group], own).mean() + 0.25 * joint for one in logits]
    torch.stack(expected).mean().backward()
    ours = flats.clone().requires_grad_(True)
    losses = TargetRunner(SPEC, "fp32", workers).task_loss(ours, mask, images, labels, soft, 2, 0.25)
    losses.mean().backward()
    torch.testing.assert_close(losses, torch.stack(expected))
    torch.testing.assert_close(ours.grad, leaf.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("architecture", [ARCHITECTURES[0], CENTRED], ids=lambda architecture: architecture.name)
def test_the_code_of_a_gpu_gives_the_same_for_draws(monkeypatch, architecture, taught):
    spec = ParameterSpec(architecture)
    flats, mask, images, labels, soft = groups(spec)
    call = flats, mask, images, labels, soft if taught else None, 2, 0.25
    alone = TargetRunner(spec, "fp32").losses_and_gradients(*call)
    monkeypatch.setenv(FORCE_BATCHED_VARIABLE, "1")
    losses, gradients = TargetRunner(spec, "fp32").losses_and_gradients(*call)
    torch.testing.assert_close(losses, alone[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(gradients, alone[1], atol=1e-5, rtol=0)
