"""``clip-vit-b-32``: both towers of OpenAI's CLIP ViT-B/32, with the library transformers.

Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, 2021 (arXiv 2103.00020).

Shapes: N texts or pictures, E width of the vectors.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tina_framework.errors import CheckpointError, ConfigError, DownloadError, PromptError, printable
from tina_framework.interfaces.class_names import check_lengths
from tina_framework.interfaces.encoder import Vectors
from tina_framework.storage.files import read_json
from tina_framework.storage.paths import user_path

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["CLIPEncoder"]

_MODEL = "openai/clip-vit-base-patch32"
# This commit has model.safetensors. The main branch of the repository has the weights only as a pickle.
_REVISION = "c237dc49a33fc61debc9276459120b7eac67e7ef"
_SIZE = "605 MB"
_WEIGHTS = "model.safetensors"
_FILES = (_WEIGHTS, "config.json", "preprocessor_config.json", "tokenizer_config.json", "vocab.json", "merges.txt")
_BATCH = 64


class CLIPEncoder:
    """The CLIP network. It is downloaded and loaded when something is first encoded.

    Args:
        model: a folder that transformers wrote, or an id on the Hub.
        revision: commit of the Hub repository. It is required for every model except the default one.
        local_files_only: do not download; use the Hub's cache on this machine.
        device: ``auto`` (CUDA, else MPS, else the CPU) or a torch device.
        templates: prompt templates with {} in place of the name.
        space: id of the vector space. The default is the Hub id. A folder with the sizes of OpenAI's ViT-B/32 gets that
            model's id, and any other folder gets ``local/`` and its name.

    Raises:
        CheckpointError: the folder is not a CLIP model (on construction or first use).
        ConfigError: a Hub id has no revision, or a template has no {}.
    """

    def __init__(
        self,
        model: str | Path = _MODEL,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
        device: str = "auto",
        templates: Sequence[str] = ("a {}", "This is a photo of a {}"),
        space: str | None = None,
    ) -> None:
        self.name = "clip-vit-b-32" if model == _MODEL else f"clip-vit-b-32:{model}"
        self.templates = tuple(templates)
        if not self.templates or any("{}" not in template for template in self.templates):
            raise ConfigError(f"A template of {list(templates)} has no place for the name; write {{}} in each.")
        self._folder = user_path(model) if user_path(model).is_dir() else None
        self._model = str(model)
        self._revision = revision or (_REVISION if model == _MODEL else None)
        if self._folder is None:
            self._check_id(self._model)
        self._local_files_only = local_files_only
        self._device_name = device
        self._space = space

    def _check_id(self, model: str) -> None:
        if model.count("/") != 1 or model.startswith((".", "/", "~")):
            raise CheckpointError(f"'{model}' is neither a folder nor an id on the Hub (owner/name); check the path.")
        if self._revision is None:
            raise ConfigError(f"'{model}' can change on the Hub at any time; give revision=, a commit hash.")

    @cached_property
    def dim(self) -> int:
        """E."""
        if self._folder is None and self._model == _MODEL:
            return 512
        return int(self._config.get("projection_dim", 512))

    @cached_property
    def space(self) -> str:
        """Id of the vector space."""
        if self._space is not None:
            return self._space
        if self._folder is None:
            return self._model
        return _MODEL if _is_vit_b_32(self._config) else f"local/{self._folder.resolve().name}"

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return the projected text vectors (N, E), not normalised.

        Texts are encoded one by one and without padding. So a row does not depend on the other texts, not even by rounding.
        Texts are cut after 77 tokens, the context of the network.

        Raises:
            PromptError: a text is empty, or the template does not exist.
            DownloadError: the weights are not on this machine and cannot be downloaded.
            CheckpointError: the folder is not a CLIP model.
        """
        import torch

        if not 0 <= template < len(self.templates):
            raise PromptError(
                f"{self.name} has no template number {template}; it has {len(self.templates)}, counted from 0."
            )
        if any(not text.strip() for text in texts):
            raise PromptError("A class name is empty; give a word or remove it.")
        check_lengths(texts)
        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        network, tokenizer, _ = self._parts
        longest = int(network.config.text_config.max_position_embeddings)
        with torch.inference_mode():
            for text in texts:
                prompt = self.templates[template].replace("{}", text)
                tokens_1P = tokenizer(prompt, truncation=True, max_length=longest, return_tensors="pt")["input_ids"]
                rows.append(_vectors(network.get_text_features(input_ids=tokens_1P.to(network.device))))
        return np.concatenate(rows)

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return the projected picture vectors (N, E), not normalised, for pictures of any size and mode.

        Raises:
            DownloadError: the weights are not on this machine and cannot be downloaded.
            CheckpointError: the folder is not a CLIP model.
        """
        import torch

        from tina_framework.images import to_rgb

        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        network, _, processor = self._parts
        with torch.inference_mode():
            for start in range(0, len(images), _BATCH):
                pictures = [to_rgb(image) for image in images[start : start + _BATCH]]
                pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
                rows.append(_vectors(network.get_image_features(pixel_values=pixels.to(network.device))))
        return np.concatenate(rows)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """Return the words that CLIP's vocabulary lacks, so that the network reads them in pieces. Raises as `encode_text`."""
        _, tokenizer, _ = self._parts
        words = dict.fromkeys(word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower()))
        return [word for word in words if len(tokenizer.tokenize(word)) > 1]

    @cached_property
    def _config(self) -> Any:
        path = (self._folder or self._fetched) / "config.json"
        config = read_json(path)
        if not isinstance(config, dict) or config.get("model_type") != "clip":
            raise CheckpointError(f"'{path}' does not describe a CLIP model with two towers; give such a folder.")
        return config

    @cached_property
    def _fetched(self) -> Path:
        """Folder of the Hub's cache with all files. They are downloaded if they are missing."""
        from huggingface_hub import snapshot_download

        def fetch(local: bool) -> Path:
            folder = snapshot_download(
                self._model, revision=self._revision, allow_patterns=list(_FILES), local_files_only=local
            )
            return Path(folder)

        try:
            folder = fetch(local=True)
            if all((folder / file).is_file() for file in _FILES):
                return folder
        except (OSError, ValueError):  # No file of the model is in the cache.
            pass
        if self._local_files_only:
            raise DownloadError(self._unreachable("is not on this machine, and local_files_only forbids a download"))
        size = f" ({_SIZE}, once)" if self._model == _MODEL else ""
        print(printable(f"Downloading {self._model}{size} from the Hugging Face Hub ..."), file=sys.stderr, flush=True)
        try:
            folder = fetch(local=False)
        except Exception as error:  # The exceptions of the HTTP client have no common base class.
            reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
            raise DownloadError(self._unreachable(f"could not be downloaded ({reason})")) from error
        if not (folder / _WEIGHTS).is_file():
            raise DownloadError(
                f"'{self._model}' at {self._revision} has no {_WEIGHTS}; weights in other formats are not loaded."
            )
        return folder

    def _unreachable(self, what: str) -> str:
        return f"'{self._model}' {what}; use an encoder that works offline: clip-lite, or embedding-table:FILE."

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        """The network, its tokenizer and its image processor."""
        import transformers

        library: Any = transformers  # The library is not fully typed.
        folder = self._folder or self._fetched
        _ = self._config  # Gives a clearer message than transformers if the folder is not a CLIP model.
        if not (folder / _WEIGHTS).is_file():
            raise CheckpointError(f"'{folder}' has no {_WEIGHTS}; weights in other formats are not loaded.")
        try:
            network = library.CLIPModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
            tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            processor = library.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers, tokenizers and safetensors raise different exceptions.
            reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
            raise CheckpointError(
                f"The CLIP model in '{folder}' cannot be loaded ({reason}); restore it or download it again."
            ) from error
        return network.float().eval().to(_device(self._device_name)), tokenizer, processor

    def __repr__(self) -> str:
        return f"CLIPEncoder({self.name!r})"


def _is_vit_b_32(config: Any) -> bool:
    text, vision = config.get("text_config") or {}, config.get("vision_config") or {}
    return bool(
        config.get("projection_dim", 512) == 512
        and text.get("hidden_size", 512) == 512
        and vision.get("hidden_size", 768) == 768
        and vision.get("patch_size", 32) == 32
        # LAION's weights of the same sizes have another activation function.
        and vision.get("hidden_act", "quick_gelu") == "quick_gelu"
    )


def _device(name: str) -> torch.device:
    import torch

    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _vectors(features: Any) -> Vectors:
    """Return the projected vectors: transformers 5 has them in `pooler_output`, transformers 4 returns the tensor itself."""
    tensor = getattr(features, "pooler_output", features)
    return np.asarray(tensor.float().cpu().numpy(), dtype=np.float32)
