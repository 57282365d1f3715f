"""The trunk: CLIP's image tower with its projection. All features have the same length.

Shapes: N pictures of S x S pixels, E features.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.errors import CheckpointError
from tina_vit_head.clip_folder import WEIGHTS

__all__ = ["Tower", "load_tower"]


class Tower(nn.Module):
    """Pictures (N, 3, S, S) -> features (N, E) of length sqrt(E).

    CLIP normalises its features, because their length carries no information about the class. Here their length is sqrt(E), so that
    the entries have a mean square of 1. Usual learning rates and initial values of a linear layer expect that; at length 1, entries
    would be about 0.04. The cosine to a text vector does not change, and so zero-shot CLIP does not either.
    """

    def __init__(self, vision_model: nn.Module, visual_projection: nn.Module) -> None:
        super().__init__()
        # Named as in CLIP's files: saved heads record a hash of the weights, which covers the names.
        self.vision_model = vision_model
        self.visual_projection = visual_projection

    def forward(self, images: Tensor) -> Tensor:
        projected: Tensor = self.visual_projection(self.vision_model(pixel_values=images).pooler_output)
        return F.normalize(projected, dim=-1) * math.sqrt(projected.shape[-1])


def load_tower(folder: Path) -> Tower:
    """Load the image tower of the CLIP model in a folder, in float32, on the CPU, without the text tower.

    Raises:
        CheckpointError: the weights are missing, damaged, incomplete, or not safetensors.
    """
    import transformers

    library: Any = transformers  # parts of it have no types
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"'{folder}' has no {WEIGHTS}; weights in other formats are not loaded.")
    try:
        network, found = library.CLIPModel.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # transformers and safetensors raise many kinds
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise CheckpointError(
            f"The CLIP model in '{folder}' cannot be loaded ({reason}); restore it or download it again."
        ) from error
    # transformers fills missing tensors with random numbers, without an error.
    lacking = sorted(name for name in found["missing_keys"] if name.startswith("vision") or name.startswith("visual"))
    if lacking:
        raise CheckpointError(
            f"The CLIP model in '{folder}' lacks {', '.join(lacking[:3])}; restore it or download it again."
        )
    return Tower(network.vision_model, network.visual_projection).float().eval()
