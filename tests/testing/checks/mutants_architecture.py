"""Target architectures, each broken in one way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture

__all__ = ["MUTANTS", "Sound"]


class Sound(nn.Module):
    """Nothing wrong with it; the mutants change one thing each. Input (N, 3, 8, 8)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.fc = nn.Linear(6, num_classes)

    def features(self, images: Tensor) -> Tensor:
        return torch.relu(self.conv(images)).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images))


class WithBatchNormStatistics(Sound):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.norm = nn.BatchNorm2d(6)


class WithTiedWeights(Sound):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.again = self.conv


class NamesDependOnTheCount(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(3, 1) for _ in range(num_classes)])

    def forward(self, images: Tensor) -> Tensor:
        pooled = images.mean(dim=(2, 3))
        return torch.cat([head(pooled) for head in self.heads], dim=1)


class WiderForManyClasses(Sound):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        if num_classes > 12:
            self.extra = nn.Linear(6, 6)


class DrawnWithNumPy(Sound):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        if self.fc.weight.device.type == "cpu":
            self.fc.weight.data = torch.from_numpy(np.random.normal(size=(num_classes, 6)).astype(np.float32))


class OneLogitTooMany(Sound):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1)


class DropsTheBatchAxisOfOne(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).squeeze(0)


class ChangesItsParameters(Sound):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        with torch.no_grad():
            self.fc.bias.add_(0.1)
        return logits


class ChangesTheImages(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.mul_(0.5))


class Counts(Sound):
    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(images)


class NoisyInEval(Sound):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits + 0.1 * torch.randn_like(logits)


class DropoutInTraining(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return self.fc(nn.functional.dropout(self.features(images), training=self.training))


class CentredOverTheBatch(Sound):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits - logits.mean(dim=0, keepdim=True).tanh()


class BatchStatisticsInTraining(Sound):
    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        return self.fc(features - features.mean(dim=0) if self.training else features)


class KeepsASecondReference(Sound):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.own = [self.fc.bias]

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images) @ self.fc.weight.T + self.own[0]


class ConstantMadeInInit(Sound):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.ramp = torch.linspace(0, 1, 6)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images) * self.ramp)


class BranchesOnValues(Sound):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits if logits.abs().max() < 1e6 else logits / 2


class ReversesTheClasses(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).flip(1)


class DetachesEverything(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).detach().requires_grad_(True) * 1.0


def made(build: Any, **changes: Any) -> TargetArchitecture:
    return TargetArchitecture(**{"name": "mutant", "build": build, "input_shape": (3, 8, 8)} | changes)


class SoundTrunk(nn.Module):
    """Nothing wrong with it: pictures (N, 3, 8, 8) to features (N, 4), fixed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        with torch.no_grad():
            for seed, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.conv(images)).mean(dim=(2, 3))


class FeaturesOfAnotherShape(SoundTrunk):
    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.conv(images)).mean(dim=3)


class RandomWeights(SoundTrunk):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)


class DropoutInEval(SoundTrunk):
    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(images), training=True)


class ComparesWithTheBatch(SoundTrunk):
    def forward(self, images: Tensor) -> Tensor:
        features = super().forward(images)
        return features - features.mean(dim=0)


class SeesNothing(SoundTrunk):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.zeros_like(images))


def behind(
    build: Any,
    name: str = "sound-trunk",
    feature_shape: tuple[int, ...] = (4,),
    space: Any = None,
    skeleton: Any = None,
) -> TargetArchitecture:
    """A linear head behind a trunk."""

    def head(num_classes: int) -> nn.Module:
        return nn.Linear(4, num_classes)

    head.__name__ = getattr(build, "__name__", "trunk")
    return TargetArchitecture("behind", head, (3, 8, 8), trunk=FrozenTrunk(name, build, feature_shape, space, skeleton))


class ShrinksWithTheWidth(nn.Module):
    def __init__(self, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, round(6 / width), 3)
        self.fc = nn.Linear(round(6 / width), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(torch.relu(self.conv(images)).mean(dim=(2, 3)))


class DeeperIfWide(Sound):
    def __init__(self, num_classes: int, width: float = 1.0) -> None:
        super().__init__(num_classes)
        if width > 1:
            self.extra = nn.Linear(6, 6)


MUTANTS = [
    (made(Sound, name="Not A Name"), "check_fields"),
    (made(Sound, input_shape=(3, 8, 8), mean=(0.5,)), "check_fields"),
    (made(Sound, std=(0.5, 0.0, 0.5)), "check_fields"),
    (made(Sound, crop_pct=0), "check_fields"),
    (made(WithBatchNormStatistics), "check_parameters"),
    (made(WithTiedWeights), "check_parameters"),
    (made(NamesDependOnTheCount), "check_parameters"),
    (made(lambda _: nn.Sequential(nn.Flatten(), nn.Linear(192, 10))), "check_parameters"),
    (made(lambda k: Sound(k).double()), "check_parameters"),
    (made(WiderForManyClasses), "check_class_counts"),
    (made(DrawnWithNumPy), "check_initial_values"),
    (made(lambda k: nn.Sequential(nn.Flatten(), nn.Linear(100, k))), "check_input_shape"),
    (made(Sound, input_shape=(1, 8, 8), mean=(0.5,), std=(0.5,)), "check_input_shape"),
    (behind(FeaturesOfAnotherShape), "check_trunk"),
    (behind(RandomWeights), "check_trunk"),
    (behind(DropoutInEval), "check_trunk"),
    (behind(ComparesWithTheBatch), "check_trunk"),
    (behind(SeesNothing), "check_trunk"),
    (behind(lambda: "no module"), "check_trunk"),
    (behind(SoundTrunk, name=""), "check_trunk"),
    (behind(SoundTrunk, space=""), "check_trunk"),
    (behind(SoundTrunk, skeleton=lambda: nn.Linear(3, 3)), "check_trunk"),
    (behind(SoundTrunk, skeleton=lambda: 1 / 0), "check_trunk"),
    (made(OneLogitTooMany), "check_output_width"),
    (made(DropsTheBatchAxisOfOne), "check_output_width"),
    (made(ChangesItsParameters), "check_forward_changes_nothing"),
    (made(ChangesTheImages), "check_forward_changes_nothing"),
    (made(Counts), "check_forward_changes_nothing"),
    (made(NoisyInEval), "check_deterministic_in_eval"),
    (made(CentredOverTheBatch), "check_rows_are_independent"),
    (made(BatchStatisticsInTraining), "check_rows_are_independent"),
    (made(KeepsASecondReference), "check_functional_call"),
    (made(ConstantMadeInInit), "check_functional_call"),
    (made(DetachesEverything), "check_functional_call"),
    (made(BranchesOnValues), "check_vmap"),
    (made(DropoutInTraining), "check_vmap"),
    (made(ReversesTheClasses), "check_class_order"),
    (made(Sound, widths=(2, 1)), "check_fields"),
    (made(Sound, widths=(0.5, 2)), "check_widths"),  # its constructor takes no width
    (made(ShrinksWithTheWidth, widths=(0.5, 2)), "check_widths"),
    (made(DeeperIfWide, widths=(0.5, 2)), "check_widths"),
]
