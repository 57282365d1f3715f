"""The architecture ``vit-head``, for OpenAI's CLIP ViT-B/32 or for a CLIP in a folder that an environment variable names."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from tina_framework import TargetArchitecture
from tina_framework.interfaces.architecture import FrozenTrunk
from tina_framework.storage.paths import user_path
from tina_vit_head.clip_folder import FOLDER_VARIABLE, VIT_B_32, fetched, read_sizes
from tina_vit_head.tower import load_tower

__all__ = ["Head", "vit_head"]


class Head(nn.Module):
    """Features (N, E) -> logits (N, K): E + 1 parameters per class; 5,130 for ten classes if E = 512."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        # Under autocast the head stays in full precision: rounding would hide small differences between large logits.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.fc(features.to(self.fc.weight.dtype))
        return logits


def vit_head() -> TargetArchitecture:
    """Return the architecture. CLIP is downloaded and read only when features are needed.

    Raises:
        CheckpointError: the folder that TINA_VIT_HEAD_CLIP names does not hold a CLIP model.
    """
    named = os.environ.get(FOLDER_VARIABLE, "")
    return _architecture(user_path(named).absolute() if named else None)


# Cached, because the framework shares the loaded trunk of equal architectures.
@functools.lru_cache(maxsize=8)
def _architecture(folder: Path | None) -> TargetArchitecture:
    sizes = VIT_B_32 if folder is None else read_sizes(folder)

    def trunk() -> nn.Module:
        return load_tower(fetched() if folder is None else folder)

    return TargetArchitecture(
        name="vit-head",
        build=functools.partial(Head, sizes.width),
        input_shape=(3, sizes.picture, sizes.picture),
        mean=sizes.mean,
        std=sizes.std,
        # The features are in the space of CLIP's text vectors, so the framework can compare a generated head with zero-shot CLIP.
        trunk=FrozenTrunk(f"{sizes.space} image tower", trunk, (sizes.width,), space=sizes.space),
    )
