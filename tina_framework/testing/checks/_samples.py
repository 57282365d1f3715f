"""Small target architectures that tokenizers are tried on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterInfo, ParameterSpec

__all__ = ["SAMPLES", "RenamedSpec"]


class _Convolution(nn.Module):
    """The usual case: shared tensors first, then a linear head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.hidden = nn.Linear(4, 200)
        self.fc = nn.Linear(200, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(torch.relu(self.hidden(self.conv(images).mean(dim=(2, 3)))))
        return logits


class _Odd(nn.Module):
    """Class axes in the first, second and last place, in tensors before the shared one; names not in sorted order."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(num_classes))
        self.middle = nn.Parameter(torch.zeros(2, num_classes, 4))
        self.columns = nn.Parameter(torch.zeros(3, num_classes))
        self.body = nn.Parameter(torch.zeros(5, 13))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = images.mean(dim=(2, 3)) @ self.columns + self.shift + self.middle.sum(dim=(0, 2))
        return logits + self.body.sum()


SAMPLES = (
    TargetArchitecture(name="sample-convolution", build=_Convolution, input_shape=(3, 8, 8)),
    TargetArchitecture(name="sample-odd", build=_Odd, input_shape=(3, 8, 8)),
)


class _Name(str):
    """Equal text, but another hash in every family: what PYTHONHASHSEED does to the order of sets."""

    __slots__ = ("salt",)
    salt: int

    def __hash__(self) -> int:
        return hash((self.salt, str(self)))

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True


class RenamedSpec(ParameterSpec):
    """The same parameters in the same order, but its mappings are in reversed order and its names hash differently.

    Args:
        architecture: as for `ParameterSpec`.
        salt: names of one salt hash alike; None: names are left alone.
    """

    def __init__(self, architecture: TargetArchitecture, salt: int | None) -> None:
        super().__init__(architecture)
        self._salt = salt
        self._plain = ParameterSpec(architecture)
        self.class_axes = {self._renamed(name): axis for name, axis in reversed(self.class_axes.items())}

    def _renamed(self, name: str) -> str:
        if self._salt is None:
            return name
        renamed = _Name(name)
        renamed.salt = self._salt
        return renamed

    def parameters(self, num_classes: int) -> tuple[ParameterInfo, ...]:  # type: ignore[override]
        """As `ParameterSpec.parameters`."""
        return tuple(
            ParameterInfo(self._renamed(info.name), info.shape, info.class_axis)
            for info in self._plain.parameters(num_classes)
        )
