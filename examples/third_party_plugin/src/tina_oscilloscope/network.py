"""The network whose weights are generated. It reads one channel, because the screen has no colours."""

from __future__ import annotations

from tina_framework import TargetArchitecture
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ScopeCNN", "scope_cnn"]


class ScopeCNN(nn.Module):
    """Three convolutions, a mean over the picture, a linear head: 8,184 + 25 K parameters for K classes.

    Pictures (N, 1, 32, 32) to logits (N, K).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(12, 24, 3, stride=2, padding=1)
        # GroupNorm, because the running statistics of BatchNorm cannot be generated.
        self.norm = nn.GroupNorm(4, 24)
        self.conv3 = nn.Conv2d(24, 24, 3, padding=1)
        self.head = nn.Linear(24, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.conv1(images))
        hidden = F.relu(self.norm(self.conv2(hidden)))
        hidden = F.relu(self.conv3(hidden))
        logits: Tensor = self.head(hidden.mean(dim=(2, 3)))
        return logits


# Mean and standard deviation are those of the data set's training pictures, rounded. The framework makes pictures grey.
scope_cnn = TargetArchitecture(name="scope-cnn", build=ScopeCNN, input_shape=(1, 32, 32), mean=(0.18,), std=(0.24,))
