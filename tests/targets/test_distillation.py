"""The loss with a teacher, against its formula and against plain cross-entropy."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tina_framework.targets.distillation import SoftTargets, image_losses

RNG = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 6, 4, generator=RNG)
TEACHER = torch.randn(2, 6, 4, generator=RNG)
LABELS = torch.randint(0, 4, (2, 6), generator=RNG)


def test_without_a_teacher_it_is_the_cross_entropy():
    expected = F.cross_entropy(LOGITS.flatten(0, 1), LABELS.flatten(), reduction="none").view(2, 6)
    assert torch.equal(image_losses(LOGITS, LABELS), expected)
    assert torch.equal(image_losses(LOGITS, LABELS, SoftTargets(TEACHER, 0.0, 3.0)), expected)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_it_is_the_formula_of_the_docstring(temperature):
    found = image_losses(LOGITS, LABELS, SoftTargets(TEACHER, 0.3, temperature))
    for task in range(2):
        for image in range(6):
            z, q = LOGITS[task, image].double(), TEACHER[task, image].double()
            wanted, log_found = (q / temperature).softmax(0), (z / temperature).log_softmax(0)
            divergence = (wanted * (wanted.log() - log_found)).sum()
            expected = -0.7 * z.log_softmax(0)[LABELS[task, image]] + 0.3 * temperature**2 * divergence
            assert float(found[task, image]) == pytest.approx(float(expected), rel=1e-5)


def test_at_temperature_one_the_gradient_is_that_of_a_mixed_label():
    leaf = LOGITS.clone().requires_grad_(True)
    image_losses(leaf, LABELS, SoftTargets(TEACHER, 0.3)).sum().backward()
    mixed = 0.7 * F.one_hot(LABELS, 4) + 0.3 * TEACHER.softmax(-1)
    torch.testing.assert_close(leaf.grad, LOGITS.softmax(-1) - mixed)


def test_empty_slots_change_neither_the_loss_nor_its_gradient():
    wide = torch.cat([LOGITS, torch.full((2, 6, 3), -torch.inf)], dim=-1).requires_grad_(True)
    said = torch.cat([TEACHER, torch.full((2, 6, 3), 7.0)], dim=-1)
    found = image_losses(wide, LABELS, SoftTargets(said, 0.5, 2.0))
    torch.testing.assert_close(found, image_losses(LOGITS, LABELS, SoftTargets(TEACHER, 0.5, 2.0)))
    found.sum().backward()
    assert wide.grad is not None
    assert bool(wide.grad.isfinite().all())
    assert not bool(wide.grad[..., 4:].any())


def test_the_part_of_a_network_has_its_class_slots():
    part = SoftTargets(TEACHER, 0.5, 2.0).of_network(1, 3)
    assert torch.equal(part.logits, TEACHER[1, :, :3])
    assert (part.weight, part.temperature) == (0.5, 2.0)
    assert SoftTargets(TEACHER, 0.5).of_network([0, 1], 2).logits.shape == (2, 6, 2)
