"""Target architectures: the small networks whose parameters are generated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from torch import nn

from tina_framework.errors import ConfigError, shorten

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


def _six_digits(width: object) -> float:
    """Return a width as its name has it; NaN if it is no number."""
    if isinstance(width, bool) or not isinstance(width, int | float):
        return math.nan
    try:
        return float(f"{width:g}")
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan


@dataclass(frozen=True)
class _AtWidth:
    """The networks of one width of a family. Unlike `functools.partial`, two of the same width are equal."""

    build: Callable[..., nn.Module]
    width: float

    def __call__(self, num_classes: int) -> nn.Module:
        return self.build(num_classes, width=self.width)


@dataclass(frozen=True)
class TargetArchitecture:
    """A family of networks, one for every number of classes, and one for every width if it has `widths`.

    Parameter names, their shapes, and the axis of each tensor that grows with the number of classes are derived from `build`
    on the meta device; see `tina_framework.interfaces.spec`.

    Args:
        name: the registry name, e.g. ``cnn-2layer``; this is what checkpoints store.
        build: takes the number of classes K and returns a fresh module from images (N, C, H, W) float32 to logits (N, K). With
            a `trunk`, the module reads its features ``(N, *feature_shape)``. With `widths`, it also takes the keyword ``width``,
            a float whose default is 1.0.
        input_shape: (C, H, W) of one image.
        mean: per channel, subtracted from pixels in [0, 1].
        std: per channel, divided by after the mean is subtracted.
        trunk: the frozen network whose features are read; None: the generated network reads the pictures.
        crop_pct: the part of a picture's sides that the network sees, from the centre, above 0 and at most 1. The name is timm's:
            0.875 means "scale the short side to W / 0.875, then crop W pixels". The filter is bicubic.
        widths: the least and the greatest width multiplier, with 1 between them; None: there is one width only. The parameters
            of a narrower network have the same names and are no larger on any axis, so they can be the leading slices of a
            wider one's (slimmable networks, Yu et al., arXiv 1812.08928).
    """

    name: str
    build: Callable[[int], nn.Module]
    input_shape: tuple[int, int, int] = (3, 32, 32)
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    trunk: FrozenTrunk | None = None
    crop_pct: float = 1.0
    widths: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("input_shape", "mean", "std", "widths"):
            if isinstance(value := getattr(self, name), list):  # as from JSON; tuples can be compared and hashed
                object.__setattr__(self, name, tuple(value))

    @property
    def network_input(self) -> tuple[int, ...]:
        """Return the input shape of the generated network without the batch axis: of a picture, or of the trunk's features."""
        return self.input_shape if self.trunk is None else tuple(self.trunk.feature_shape)

    @property
    def width(self) -> float:
        """Return the width multiplier of these networks: 1 unless `at_width` made them."""
        return self.build.width if isinstance(self.build, _AtWidth) else 1.0

    @property
    def family(self) -> str:
        """Return the name at width 1: ``cnn-2layer`` for ``cnn-2layer@1.5``."""
        if not isinstance(self.build, _AtWidth):
            return self.name
        named, colon, argument = self.name.partition(":")
        return named.rpartition("@")[0] + colon + argument

    def at_width(self, width: float) -> TargetArchitecture:
        """Return the same family at another width.

        Args:
            width: the multiplier, within `widths`. It is rounded to the six significant digits that the name has.

        Returns:
            an architecture named ``cnn-2layer@1.5``. At width 1 it has the plain name. An argument stays behind the width:
            ``name@1.5:ARGUMENT``.

        Raises:
            ConfigError: the architecture has one width only, or the width is not one of its widths.
        """
        named, colon, argument = self.family.partition(":")
        if self.widths is None:
            raise ConfigError(
                f"Architecture '{self.family}' has no widths, so it cannot be made {shorten(width)} times as wide; "
                f"write just '{self.family}'."
            )
        least, greatest = self.widths
        rounded = _six_digits(width)
        if not least <= rounded <= greatest:
            raise ConfigError(
                f"Architecture '{self.family}' has widths from {least:g} to {greatest:g}, so {shorten(width)} is none of them; "
                f"choose a number between these, as in '{named}@{greatest:g}'."
            )
        build = self.build.build if isinstance(self.build, _AtWidth) else self.build
        if rounded == 1:
            return replace(self, name=self.family, build=cast(Callable[[int], nn.Module], build))
        return replace(self, name=f"{named}@{rounded:g}{colon}{argument}", build=_AtWidth(build, rounded))
