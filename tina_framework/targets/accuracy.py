"""Run a target network on many images, and measure its accuracy.

Shapes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["accuracy", "logits", "remap_labels"]


@torch.no_grad()
def logits(module: nn.Module, images: Tensor, batch_size: int = 1000) -> Tensor:
    """Return the logits (N, K) in float32 of images (N, C, H, W), in evaluation mode and in batches."""
    was_training = module.training
    module.eval()
    parts = [module(part).float() for part in images.split(batch_size)]
    module.train(was_training)
    return torch.cat(parts)


def accuracy(module: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 1000) -> float:
    """Return the share (0 to 1) of images (N, C, H, W) whose greatest logit is that of their label (N,)."""
    return float((logits(module, images, batch_size).argmax(dim=1) == labels).float().mean())


def remap_labels(labels: Tensor, classes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Find the images of a task among those of a data set.

    Args:
        labels: (N,) labels over all classes of a data set.
        classes: the task's K class indices, in the task's order.

    Returns:
        (M,) the indices of the images whose class is in the task, and (M,) their labels in the task, 0..K-1.
    """
    # Class of the data set -> label in the task; -1 for classes that are not in the task.
    in_task = torch.full((int(max(int(labels.max()), *classes)) + 1,), -1, dtype=torch.int64, device=labels.device)
    in_task[torch.as_tensor(list(classes), device=labels.device)] = torch.arange(len(classes), device=labels.device)
    mapped = in_task[labels.long()]
    indices = torch.nonzero(mapped >= 0).squeeze(1)
    return indices, mapped[indices]
