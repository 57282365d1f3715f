"""The architecture ``photo-head``: a generated cosine classifier on the frozen features of EfficientNet-Lite0.

Shapes: N pictures, E = 1,280 features, K classes.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from tina_framework import TargetArchitecture
from tina_framework.errors import ConfigError, shorten
from tina_framework.interfaces.architecture import FrozenTrunk
from tina_photos.efficientnet import FEATURES
from tina_photos.weights import TRUNK, empty_trunk, load_trunk

__all__ = ["DEFAULT_SIZE", "SCALE", "SIZES", "CosineHead", "photo_head"]

SCALE = 30.0
"""Factor of the cosines. With 30 the probabilities of generated heads agree with their accuracy: on ten of the validation classes of
Caltech-101 the mean probability of the answer is 81 %, and 83 % are right. With 40 it would be 87 %. This was
measured once, and no script here repeats it."""

SIZES = (128, 160, 192, 224)
DEFAULT_SIZE = 160

# The trunk halves the picture five times.
assert all(size % 32 == 0 for size in SIZES)

# Added to squared lengths. The gradient of a row of zeros is then at most 1e4 times as large as that of its direction.
_EPS = 1e-8


class CosineHead(nn.Module):
    """Features (N, E) -> logits (N, K): scale * cos(features, row k) + bias k, with 1,281 parameters per class.

    Gidaris and Komodakis (arXiv 1804.09458, section 3.2) classify by cosines for the same reason: rows that are generated need
    not have the lengths of rows that were trained. The scale is fixed here.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        # Under autocast the head stays in full precision: rounding would hide small differences between large logits.
        with torch.autocast(features.device.type, enabled=False):
            rows = self.fc.weight
            cosines = _unit(features.to(rows.dtype)) @ _unit(rows).T
            return SCALE * cosines + self.fc.bias


def _unit(vectors: Tensor) -> Tensor:
    """Scale vectors to length 1. Zeros stay zeros, with a finite gradient."""
    return vectors * torch.rsqrt(vectors.square().sum(dim=-1, keepdim=True) + _EPS)


def photo_head(size: str | None = None) -> TargetArchitecture:
    """Return the architecture for pictures of one size. The weights of the trunk are read only when features are needed.

    Args:
        size: height and width of the pictures: 128, 160, 192 or 224; None: 160. Smaller pictures are faster and less accurate.

    Raises:
        ConfigError: the size is another one.
    """
    if size is None:
        return _architecture("photo-head", DEFAULT_SIZE)
    if size not in map(str, SIZES):
        raise ConfigError(
            f"Architecture 'photo-head' takes no pictures of size {shorten(size)}; "
            f"write one of {', '.join(f'photo-head:{known}' for known in SIZES)}."
        )
    # The name repeats what was asked for, because zoos and generators are compared by it.
    return _architecture(f"photo-head:{size}", int(size))


# Cached, because the framework shares what it computes for equal architectures.
@functools.cache
def _architecture(name: str, size: int) -> TargetArchitecture:
    return TargetArchitecture(
        name=name,
        build=CosineHead,
        input_shape=(3, size, size),
        # As the trunk was trained: (255 p - 127) / 128.
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        # A classifier that was saved with its trunk needs neither the package with the weights nor the cache.
        trunk=FrozenTrunk(TRUNK, load_trunk, (FEATURES,), skeleton=empty_trunk),
        crop_pct=0.875,  # as the trunk was tested: 224 of 256 pixels
    )
