"""Target architectures: the small networks whose parameters are generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

__all__ = ["FrozenTrunk", "TargetArchitecture"]


@dataclass(frozen=True)
class FrozenTrunk:
    """A trained network with fixed weights. The generated network reads its features instead of pictures.

    The features of a data set are computed once and kept, so training costs the same however large the trunk is.

    Args:
        name: of the weights, e.g. ``resnet20-cifar100``; saved folders record it with a hash of the weights.
        build: returns the network with its weights. It maps pictures (N, C, H, W) float32, prepared as the architecture says,
            to features ``(N, *feature_shape)`` float32. It is called once for each process and device. The framework puts the
            network into evaluation mode and asks for no gradients.
        feature_shape: of one picture's features, without the batch.
        space: id of the vector space that the features lie in, if encoders write vectors of it (`Encoder.space`). The cosine
            between features (E,) and the vector of a text then says how well they fit. None: no encoder shares the space.
        skeleton: returns the same network with any weights, and reads no file of weights. Classifiers that were saved with their
            trunk are loaded into it, so they need only the code of the plugin. It may give parameters on the meta device.
            None: `build` is called for that, too.
    """

    name: str
    build: Callable[[], nn.Module]
    feature_shape: tuple[int, ...]
    space: str | None = None
    skeleton: Callable[[], nn.Module] | None = None


@dataclass(frozen=True)
class TargetArchitecture:
    """A family of networks, one for every number of classes.

    Parameter names, their shapes, and the axis of each tensor that grows with the number of classes are derived from `build`
    on the meta device; see `tina_framework.interfaces.spec`.

    Args:
        name: the registry name, e.g. ``cnn-2layer``; this is what checkpoints store.
        build: takes the number of classes K and returns a fresh module from images (N, C, H, W) float32 to logits (N, K). With
            a `trunk`, the module reads its features ``(N, *feature_shape)``.
        input_shape: (C, H, W) of one image.
        mean: per channel, subtracted from pixels in [0, 1].
        std: per channel, divided by after the mean is subtracted.
        trunk: the frozen network whose features are read; None: the generated network reads the pictures.
        crop_pct: the part of a picture's sides that the network sees, from the centre, above 0 and at most 1. The name is timm's:
            0.875 means "scale the short side to W / 0.875, then crop W pixels". The filter is bicubic.
    """

    name: str
    build: Callable[[int], nn.Module]
    input_shape: tuple[int, int, int] = (3, 32, 32)
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    trunk: FrozenTrunk | None = None
    crop_pct: float = 1.0

    def __post_init__(self) -> None:
        for name in ("input_shape", "mean", "std"):
            if isinstance(value := getattr(self, name), list):  # as from JSON; tuples can be compared and hashed
                object.__setattr__(self, name, tuple(value))

    @property
    def network_input(self) -> tuple[int, ...]:
        """Return the input shape of the generated network without the batch axis: of a picture, or of the trunk's features."""
        return self.input_shape if self.trunk is None else tuple(self.trunk.feature_shape)
