"""Three convolutions and a linear head: the larger network of the published code. 14,586 parameters for ten classes, at width 1."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.builtins.architectures._pooled_head import pooled_logits
from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["CNN3Layer", "cnn_3layer"]


class CNN3Layer(nn.Module):
    """conv 3→16 (3x3, stride 2) → ReLU → conv 16→32 (3x3, stride 2) → ReLU → conv 32→32 (3x3) → ReLU → mean → linear 32→K.

    The convolutions have no bias: 432 + 4,608 + 9,216 + 33 K parameters. Input (N, 3, 32, 32) in [-1, 1], output (N, K).
    The number of parameters is that of the published code, which does not state the strides. This project chose them.
    `width` multiplies the 16 and 32 channels.
    """

    def __init__(self, num_classes: int, *, width: float = 1.0) -> None:
        super().__init__()
        first, second = round(16 * width), round(32 * width)
        self.conv1 = nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False)
        self.conv3 = nn.Conv2d(second, second, 3, padding=1, bias=False)
        self.fc = nn.Linear(second, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.conv1(images), inplace=True)
        hidden = F.relu(self.conv2(hidden), inplace=True)
        hidden = F.relu(self.conv3(hidden), inplace=True)
        return pooled_logits(hidden, self.fc)


cnn_3layer = TargetArchitecture(name="cnn-3layer", build=CNN3Layer, widths=(0.25, 4.0))
