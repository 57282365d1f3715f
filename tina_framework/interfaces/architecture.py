"""Target architectures: the small networks whose parameters are generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

__all__ = ["FrozenTrunk", "TargetArchitecture"]


@dataclass(frozen=True)
class FrozenTrunk:
    """A trained network that stays as it is: the generated network then reads its features instead of pictures.

    Features are computed once for a data set and kept, so a large trunk costs training nothing.

    Args:
        name: says which weights these are, e.g. ``resnet20-cifar100``; saved folders record it with a hash of the weights.
        build: returns the network with its weights: pictures (N, C, H, W) float32, prepared as the architecture says,
            to features (N, *feature_shape) float32. Called once a process and device; the framework puts the network
            into evaluation mode and asks for no gradients.
        feature_shape: of one picture's features, without the batch.
        space: id of the vector space the features lie in, if encoders speak it (`Encoder.space`): the cosine of features
            (E,) and of an encoder's vector of a text then says how well they fit. None: features of its own.
    """

    name: str
    build: Callable[[], nn.Module]
    feature_shape: tuple[int, ...]
    space: str | None = None


@dataclass(frozen=True)
class TargetArchitecture:
    """A family of networks, one for every number of classes.

    Everything else (parameter names and shapes, which axis of which tensor grows with the number of classes) is
    derived from `build` on the meta device; see `tina_framework.interfaces.spec`.

    Args:
        name: the registry name, e.g. ``cnn-2layer``; this is what checkpoints store.
        build: number of classes K -> a fresh module mapping images (N, C, H, W) float32 to logits (N, K); with a `trunk`,
            mapping its features (N, *feature_shape).
        input_shape: (C, H, W) of one image.
        mean: per channel, subtracted from pixels in [0, 1].
        std: per channel, divided by after the mean is subtracted.
        trunk: a frozen network in front; None: the generated network reads the pictures itself.
    """

    name: str
    build: Callable[[int], nn.Module]
    input_shape: tuple[int, int, int] = (3, 32, 32)
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    trunk: FrozenTrunk | None = None

    @property
    def network_input(self) -> tuple[int, ...]:
        """Shape of what the generated network takes, without the batch: of a picture, or of the trunk's features."""
        return self.input_shape if self.trunk is None else tuple(self.trunk.feature_shape)
