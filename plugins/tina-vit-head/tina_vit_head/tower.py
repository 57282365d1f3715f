"""The trunk: CLIP's image tower with its projection, features of one length.

Shapes: N pictures, S their size, E width.
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

    The direction is CLIP's; its length says nothing about the class, and is dropped as CLIP drops it. At length sqrt(E) the
    entries have a mean square of 1, which is what usual learning rates and initial values of a linear layer are made for
    (at length 1, each would be about 0.04). The cosine to a text vector, and so zero-shot CLIP, is the same.
    """

    def __init__(self, vision_model: nn.Module, visual_projection: nn.Module) -> None:
        super().__init__()
        # Named as in CLIP's files: the hash of the weights, which saved heads record, is over these names.
        self.vision_model = vision_model
        self.visual_projection = visual_projection

    def forward(self, images: Tensor) -> Tensor:
        projected: Tensor = self.visual_projection(self.vision_model(pixel_values=images).pooler_output)
        return F.normalize(projected, dim=-1) * math.sqrt(projected.shape[-1])


def load_tower(folder: Path) -> Tower:
    """The image tower of the CLIP model in a folder, in float32, on the CPU. The text tower is let go.

    Raises:
        CheckpointError: the weights are missing, damaged, incomplete or no safetensors.
    """
    import transformers

    library: Any = transformers  # in parts untyped
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"'{folder}' has no {WEIGHTS}; weights in other formats are not loaded.")
    try:
        network, found = library.CLIPModel.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # transformers and safetensors each have their own
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise CheckpointError(
            f"The CLIP model in '{folder}' cannot be loaded ({reason}); restore it or download it again."
        ) from error
    # transformers fills what a file lacks with random numbers.
    lacking = sorted(name for name in found["missing_keys"] if name.startswith("vision") or name.startswith("visual"))
    if lacking:
        raise CheckpointError(
            f"The CLIP model in '{folder}' lacks {', '.join(lacking[:3])}; restore it or download it again."
        )
    return Tower(network.vision_model, network.visual_projection).float().eval()
