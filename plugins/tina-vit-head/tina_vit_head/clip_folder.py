"""Where CLIP comes from: the Hub (or its cache), or a folder; and what its configuration says."""

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
"""Environment variable: a folder with a CLIP model as transformers saves it, instead of the Hub's."""

MODEL = "openai/clip-vit-base-patch32"
REVISION = "c237dc49a33fc61debc9276459120b7eac67e7ef"
"""The commit that the encoder clip-vit-b-32 uses too, so that one download serves both: it holds model.safetensors; the
repository's main branch has the weights as a pickle only."""

WEIGHTS = "model.safetensors"
_CONFIG, _LOOK = "config.json", "preprocessor_config.json"
_FILES = (WEIGHTS, _CONFIG, _LOOK)


@dataclass(frozen=True)
class Sizes:
    """What an architecture has to know of a CLIP model before its weights are read.

    Attributes:
        space: id of the space its features and text vectors lie in, as the encoder clip-vit-b-32 calls it.
        width: E, of the projected features.
        picture: height and width of its pictures.
        mean: per channel, of pixels in [0, 1].
        std: per channel.
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
    """What the configuration of a CLIP model in a folder says.

    Raises:
        CheckpointError: the folder does not exist, or holds no CLIP model with two towers.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{FOLDER_VARIABLE} is '{folder}', which is no folder; {_NEEDS}.")
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
            f"'{folder / _CONFIG}' and '{_LOOK}' state no sizes, or no mean and std of three channels; {_NEEDS}."
        )
    space = MODEL if _is_vit_b_32(config, vision) else f"local/{folder.resolve().name}"
    return Sizes(space, width, picture, mean, std)


def _is_vit_b_32(config: dict[str, Any], vision: dict[str, Any]) -> bool:
    """A copy of OpenAI's model, by the same marks as for the encoder clip-vit-b-32."""
    text = config.get("text_config") or {}
    return bool(
        config.get("projection_dim", 512) == 512
        and text.get("hidden_size", 512) == 512
        and vision.get("hidden_size", 768) == 768
        and vision.get("patch_size", 32) == 32
        # What sets OpenAI's weights apart from LAION's of the same sizes.
        and vision.get("hidden_act", "quick_gelu") == "quick_gelu"
    )


def fetched() -> Path:
    """The folder of the Hub's cache with CLIP ViT-B/32, after a download if need be.

    Raises:
        DownloadError: it is not on this machine and cannot be fetched.
    """
    from huggingface_hub import snapshot_download

    def fetch(files: Sequence[str], local: bool) -> Path:
        return Path(snapshot_download(MODEL, revision=REVISION, allow_patterns=list(files), local_files_only=local))

    try:
        folder = fetch(_FILES, local=True)
        if all((folder / file).is_file() for file in _FILES):
            return folder
    except (OSError, ValueError):  # nothing of it is in the cache
        pass
    print(f"Downloading {MODEL} (605 MB, once) from the Hugging Face Hub ...", file=sys.stderr, flush=True)
    try:
        folder = fetch(_FILES, local=False)
    except Exception as error:  # whatever the HTTP client lets out: there is no common base class
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise DownloadError(
            f"'vit-head' needs CLIP ({MODEL}), which is not on this machine and could not be downloaded ({reason}); "
            f"go online once, or set {FOLDER_VARIABLE} to a folder with a copy of it."
        ) from error
    return folder
