"""Find CLIP on the Hub, in its cache or in a folder, and read its configuration."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, DownloadError
from tina_framework.storage.files import read_json

__all__ = ["FOLDER_VARIABLE", "MODEL", "REVISION", "VIT_B_32", "WEIGHTS", "Sizes", "fetched", "read_sizes"]

FOLDER_VARIABLE = "TINA_VIT_HEAD_CLIP"
"""Environment variable that names a folder with a CLIP model, as transformers saves it. It replaces the one of the Hub."""

MODEL = "openai/clip-vit-base-patch32"
REVISION = "c237dc49a33fc61debc9276459120b7eac67e7ef"
"""The encoder clip-vit-b-32 uses this commit too, so that one download serves both. It holds model.safetensors; the main branch has
the weights only as a pickle."""

WEIGHTS = "model.safetensors"
_CONFIG, _LOOK = "config.json", "preprocessor_config.json"
_FILES = (WEIGHTS, _CONFIG, _LOOK)


@dataclass(frozen=True)
class Sizes:
    """What an architecture needs to know of a CLIP model before its weights are read.

    Attributes:
        space: name of the space of features and text vectors, the same as that of the encoder clip-vit-b-32.
        width: E, the width of the projected features.
        picture: height and width of the pictures.
        mean: mean of each channel, for pixels in [0, 1].
        std: standard deviation of each channel.
    """

    space: str
    width: int
    picture: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


VIT_B_32 = Sizes(
    MODEL, 512, 224, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
)  # preprocessor_config.json of the repository
_NEEDS = f"{FOLDER_VARIABLE} must name a folder with {', '.join(_FILES)}"


def read_sizes(folder: Path) -> Sizes:
    """Read the sizes of the CLIP model in a folder.

    Raises:
        CheckpointError: the folder does not exist, or does not hold a CLIP model with two towers.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{FOLDER_VARIABLE} is '{folder}', which is not a folder; {_NEEDS}.")
    config, look = read_json(folder / _CONFIG), read_json(folder / _LOOK)
    if not isinstance(config, dict) or config.get("model_type") != "clip":
        raise CheckpointError(f"'{folder / _CONFIG}' does not describe a CLIP model with two towers; {_NEEDS}.")
    try:
        vision = config.get("vision_config") or {}
        width, picture = int(config.get("projection_dim", 512)), int(vision.get("image_size", 224))
        mean, std = (tuple(float(number) for number in look[key]) for key in ("image_mean", "image_std"))
        fine = width > 0 and picture > 0 and len(mean) == len(std) == 3 and min(std) > 0
        fine = fine and all(math.isfinite(number) for number in (*mean, *std))
    except (AttributeError, KeyError, TypeError, ValueError):
        fine = False
    if not fine:
        raise CheckpointError(
            f"'{folder / _CONFIG}' and '{_LOOK}' do not state the sizes, or the mean and std of three channels; {_NEEDS}."
        )
    space = MODEL if _is_vit_b_32(config, vision) else f"local/{folder.resolve().name}"
    return Sizes(space, width, picture, mean, std)


def _is_vit_b_32(config: dict[str, Any], vision: dict[str, Any]) -> bool:
    """Return whether it is a copy of OpenAI's model, by the same criteria as in the encoder clip-vit-b-32."""
    text = config.get("text_config") or {}
    return bool(
        config.get("projection_dim", 512) == 512
        and text.get("hidden_size", 512) == 512
        and vision.get("hidden_size", 768) == 768
        and vision.get("patch_size", 32) == 32
        # LAION's models have the same sizes, but another activation.
        and vision.get("hidden_act", "quick_gelu") == "quick_gelu"
    )


def fetched() -> Path:
    """Return the folder of the Hub's cache with CLIP ViT-B/32, and download it if it is missing.

    Raises:
        DownloadError: it is not on this machine and cannot be downloaded.
    """
    from huggingface_hub import snapshot_download

    def fetch(files: Sequence[str], local: bool) -> Path:
        return Path(snapshot_download(MODEL, revision=REVISION, allow_patterns=list(files), local_files_only=local))

    try:
        folder = fetch(_FILES, local=True)
        if all((folder / file).is_file() for file in _FILES):
            return folder
    except (OSError, ValueError):  # it is not in the cache
        pass
    print(f"Downloading {MODEL} (605 MB, once) from the Hugging Face Hub ...", file=sys.stderr, flush=True)
    try:
        folder = fetch(_FILES, local=False)
    except Exception as error:  # errors of the HTTP client have no common base class
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise DownloadError(
            f"'vit-head' needs CLIP ({MODEL}), which is not on this machine and could not be downloaded ({reason}); "
            f"go online once, or set {FOLDER_VARIABLE} to a folder with a copy of it."
        ) from error
    return folder
