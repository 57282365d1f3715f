"""The loss of several networks of one task: each network's own loss, and the loss of their mean probabilities.

Shapes: D networks (draws) of one task, M images, K classes, with any leading axes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.targets.distillation import SoftTargets, image_losses

__all__ = ["draw_losses", "mean_log_probabilities"]


def mean_log_probabilities(logits: Tensor) -> Tensor:
    """Return the logarithm of the mean probabilities of D networks, (..., M, K).

    Args:
        logits: (..., D, M, K) float32. Empty slots hold minus infinity, and so does the result there.
    """
    empty = torch.isneginf(logits)
    # The gradient of `logsumexp` over values that are all minus infinity would be NaN.
    log_probabilities = F.log_softmax(logits, -1).masked_fill(empty, 0.0)
    mean = log_probabilities.logsumexp(-3) - math.log(logits.shape[-3])
    return mean.masked_fill(empty.all(-3), -torch.inf)


def draw_losses(logits: Tensor, labels: Tensor, soft: SoftTargets | None, joint_weight: float) -> Tensor:
    """Return the loss of each network, averaged over the images, (..., D).

    Network d has (1 - w) L_d + w L_joint, where L_joint is the loss of the mean probabilities and the same for all D.
    So the mean over d is (1 - w) mean_d L_d + w L_joint. With a teacher, L_joint takes the logarithm of the mean
    probabilities as logits.

    Args:
        logits: (..., D, M, K) float32. Empty slots hold minus infinity.
        labels: (..., M) int64, the same for all D networks.
        soft: what a teacher says of these images, with logits (..., M, K).
        joint_weight: w, from 0 to 1.
    """
    own_labels = labels.unsqueeze(-2).expand(logits.shape[:-1])
    own_soft = None if soft is None else replace(soft, logits=soft.logits.unsqueeze(-3).expand_as(logits))
    own = image_losses(logits, own_labels, own_soft).mean(-1)
    joint = image_losses(mean_log_probabilities(logits), labels, soft).mean(-1)
    return (1 - joint_weight) * own + joint_weight * joint.unsqueeze(-1)
