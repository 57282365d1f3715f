"""The end of the small convolutional networks: the mean over all positions, and a linear layer.

Shapes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["pooled_logits"]


def pooled_logits(hidden_NCHW: Tensor, head: nn.Linear) -> Tensor:
    """Return the logits (N, K) of the mean features, which `head` maps from C to K. They have its dtype."""
    # The mean as a sum divided once: the gradient of `mean` divides every position by the same number, which takes a tenth of
    # the time of training. The values are the same.
    total = hidden_NCHW.sum(dim=(2, 3), dtype=torch.promote_types(hidden_NCHW.dtype, torch.float32))
    features_NC = (total / (hidden_NCHW.shape[2] * hidden_NCHW.shape[3])).to(head.weight.dtype)
    # Under autocast the head stays in full precision. The loss does not limit a shift that all logits share. It can grow large,
    # and rounding in bfloat16 would then hide the differences between classes.
    with torch.autocast(hidden_NCHW.device.type, enabled=False):
        logits: Tensor = head(features_NC)
    return logits
