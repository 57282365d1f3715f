"""The loss of mean probabilities, against its formula written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tina_framework.targets.distillation import SoftTargets, image_losses
from tina_framework.targets.mean_prediction import draw_losses, mean_log_probabilities

DRAWS, IMAGES, CLASSES = 3, 5, 4


def logits() -> torch.Tensor:
    return torch.randn(DRAWS, IMAGES, CLASSES, generator=torch.Generator().manual_seed(0))


LABELS = torch.tensor([0, 1, 2, 3, 1])


def test_it_is_the_logarithm_of_the_mean_of_probabilities() -> None:
    torch.testing.assert_close(mean_log_probabilities(logits()), logits().softmax(-1).mean(0).log())
    one = logits()[:1]
    torch.testing.assert_close(mean_log_probabilities(one), one[0].log_softmax(-1))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_both_losses_have_their_share(weight: float) -> None:
    own = torch.stack([F.cross_entropy(one, LABELS) for one in logits()])
    joint = F.nll_loss(logits().softmax(-1).mean(0).log(), LABELS)
    torch.testing.assert_close(draw_losses(logits(), LABELS, None, weight), (1 - weight) * own + weight * joint)
    # The probability of the label is a concave function of the mean, so the mean never loses more (Jensen).
    assert joint <= own.mean()


def test_the_joint_loss_of_equal_draws_is_the_loss_of_one_also_with_a_teacher() -> None:
    same = logits()[:1].expand(DRAWS, -1, -1)
    soft = SoftTargets(torch.randn(IMAGES, CLASSES, generator=torch.Generator().manual_seed(1)), 0.7, 2.0)
    for weight in (0.0, 0.5, 1.0):
        found = draw_losses(same, LABELS, soft, weight)
        torch.testing.assert_close(found, image_losses(same[0], LABELS, soft).mean().expand(DRAWS))


def test_empty_slots_change_nothing_and_get_no_gradient() -> None:
    soft = SoftTargets(torch.randn(IMAGES, CLASSES + 2, generator=torch.Generator().manual_seed(1)), 0.5, 2.0)
    narrow_soft = SoftTargets(soft.logits[..., :CLASSES], 0.5, 2.0)
    leaf = F.pad(logits(), (0, 2)).requires_grad_(True)
    empty = torch.arange(CLASSES + 2) >= CLASSES
    losses = draw_losses(leaf.masked_fill(empty, -torch.inf), LABELS, soft, 0.5)
    torch.testing.assert_close(losses, draw_losses(logits(), LABELS, narrow_soft, 0.5))
    losses.sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[..., CLASSES:].any()


def test_leading_axes_are_groups() -> None:
    both = torch.stack([logits(), logits().flip(1)])
    labels = torch.stack([LABELS, LABELS.flip(0)])
    found = draw_losses(both, labels, None, 0.4)
    torch.testing.assert_close(found[0], draw_losses(logits(), LABELS, None, 0.4))
    torch.testing.assert_close(found[1], found[0])
