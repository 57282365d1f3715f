"""`cnn-2layer`: two convolutions and a linear head, 5,370 parameters for ten classes at width 1 (Tina, arXiv 2405.14132)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.builtins.architectures._pooled_head import pooled_logits
from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["CNN2Layer", "cnn_2layer"]


class CNN2Layer(nn.Module):
    """conv 3→16 (3x3, stride 2) → ReLU → conv 16→32 (3x3) → ReLU → global average pool → linear 32→K.

    No bias in the convolutions: 432 + 4,608 + 33 K parameters. Input (N, 3, 32, 32) in [-1, 1], output (N, K).
    `width` multiplies the 16 and 32 channels.
    """

    def __init__(self, num_classes: int, *, width: float = 1.0) -> None:
        super().__init__()
        first, second = round(16 * width), round(32 * width)
        self.conv1 = nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.fc = nn.Linear(second, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.conv1(images), inplace=True)
        hidden = F.relu(self.conv2(hidden), inplace=True)
        return pooled_logits(hidden, self.fc)


cnn_2layer = TargetArchitecture(name="cnn-2layer", build=CNN2Layer, widths=(0.25, 4.0))
