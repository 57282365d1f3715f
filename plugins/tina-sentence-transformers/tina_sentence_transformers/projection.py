"""Read and write a fitted projection: ``config.json`` (strings, numbers and hashes) and ``projection.safetensors``.

Shapes: T templates, L landmarks (1 if linear), F features, D width of the sentence vectors, E width of the space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tina_framework.errors import CheckpointError
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.files import check_tensors, read_hashed, write_json, write_safetensors
from tina_framework.storage.folders import CONFIG, check_hash, read_config, writing_folder
from tina_sentence_transformers.ridge import Fit, signs

__all__ = ["WEIGHTS", "Confidence", "Header", "Projection", "read_header", "read_projection", "write_projection"]

FORMAT = "tina-sentence-projection"
FORMAT_VERSION = 1
WEIGHTS = "projection.safetensors"
_NEEDS = f"{CONFIG} with format '{FORMAT}' and {WEIGHTS}, as `tina fit-projection` writes them"
_HALF_MAX = 6e4
# The similarity of a landmark's own text is 1 apart from rounding.
_SAME = 0.9995

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Confidence:
    """Coefficients of the expected cosine, fitted to rows that cross-validation left out.

    expected cosine = intercept + length * |v - mean| + similarity * (similarity to the nearest landmark)
    """

    intercept: float
    length: float
    similarity: float


@dataclass(frozen=True)
class Header:
    """The content of ``config.json``.

    Attributes:
        model: id of the sentence model.
        revision: its commit on the Hub, or None.
        fingerprint: hash of its files.
        model_dim: D.
        space: id of the space.
        dim: E.
        templates: T prompt templates of the space.
        landmarks: L; 0 if linear.
        gammas: T factors of the kernel; 0 if linear.
        confidence: T confidences.
        record: how it was made and the measured figures, for information only.
    """

    model: str
    revision: str | None
    fingerprint: str
    model_dim: int
    space: str
    dim: int
    templates: tuple[str, ...]
    landmarks: int
    gammas: tuple[float, ...]
    confidence: tuple[Confidence, ...]
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Projection:
    """The projection of one template.

    Attributes:
        fit: the regression.
        confidence: coefficients of the expected cosine.
        known_L: cosines of the landmarks' predictions with their own rows.
    """

    fit: Fit
    confidence: Confidence
    known_L: Floats

    def expected_cosine(self, x_ND: Floats) -> Floats:
        """Return the expected cosines (N,) for sentence vectors (N, D), clipped to [0, 1]."""
        lengths, similarities = signs(self.fit, x_ND)
        line = self.confidence
        values = line.intercept + line.length * lengths + line.similarity * similarities
        if self.fit.gamma:
            nearest = self.fit.features(x_ND).argmax(axis=1)
            values = np.where(similarities >= _SAME, self.known_L[nearest], values)
        result: Floats = np.clip(values, 0.0, 1.0)
        return result


def write_projection(folder: Path, header: Header, parts: Sequence[Projection]) -> None:
    """Write a new folder with both files, completely or not at all.

    Raises:
        ConfigError: the folder exists and is not empty, or it cannot be written.
    """
    tensors = {
        "origin": np.stack([part.fit.origin_LD for part in parts]),
        "weight": np.stack([part.fit.weight_FE for part in parts]),
        "mean": np.stack([part.fit.mean_E for part in parts]),
        "known": np.stack([part.known_L for part in parts]),
    }
    with writing_folder(folder, lambda path: False, "projection") as new:
        sha256 = write_safetensors(new / WEIGHTS, {name: _stored(name, array) for name, array in tensors.items()})
        value = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(header), HASHES: {WEIGHTS: sha256}}
        write_json(new / CONFIG, with_digest(value, CONFIG))


def _stored(name: str, array: Floats) -> torch.Tensor:
    half = name in ("origin", "weight") and float(np.abs(array).max()) < _HALF_MAX
    return torch.from_numpy(np.ascontiguousarray(array)).to(torch.float16 if half else torch.float32)


def read_header(folder: Path) -> Header:
    """Read and check ``config.json``.

    Raises:
        CheckpointError: the file is missing, has another format, or lacks an entry.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise CheckpointError(f"'{folder}' is no folder; make one with `tina fit-projection`.")
    value = read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)
    try:
        header = Header(
            model=_text(value["model"]),
            revision=None if value["revision"] is None else _text(value["revision"]),
            fingerprint=_text(value["fingerprint"]),
            model_dim=_count(value["model_dim"]),
            space=_text(value["space"]),
            dim=_count(value["dim"]),
            templates=tuple(_text(template) for template in value["templates"]),
            landmarks=int(value["landmarks"]),
            gammas=tuple(float(gamma) for gamma in value["gammas"]),
            confidence=tuple(
                Confidence(**{key: float(number) for key, number in line.items()}) for line in value["confidence"]
            ),
            record=dict(value["record"]),
        )
        same = {len(header.templates), len(header.gammas), len(header.confidence)}
        if len(same) != 1 or not header.templates or any("{}" not in template for template in header.templates):
            raise ValueError("templates, gammas and confidence do not fit together")
        if header.landmarks < 0 or any((gamma > 0) != (header.landmarks > 0) for gamma in header.gammas):
            raise ValueError("landmarks and gammas do not fit together")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"'{path}' lacks an entry or has a wrong one ({type(error).__name__}: {error}); restore it or fit again."
        ) from error
    return header


def read_projection(folder: Path, header: Header) -> list[Projection]:
    """Read the weights. Return one `Projection` for each template.

    Raises:
        CheckpointError: the weights are missing, altered or damaged.
    """
    path = folder / WEIGHTS
    tensors, sha256 = read_hashed(path)
    check_hash(path, read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS), sha256)
    count, rows = len(header.templates), header.landmarks or 1
    shapes = {
        "origin": (count, rows, header.model_dim),
        "weight": (count, header.landmarks or header.model_dim, header.dim),
        "mean": (count, header.dim),
        "known": (count, rows),
    }
    check_tensors(tensors, shapes, f"'{path}'")
    arrays = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    return [
        Projection(
            Fit(arrays["origin"][t], header.gammas[t], arrays["weight"][t], arrays["mean"][t]),
            header.confidence[t],
            arrays["known"][t],
        )
        for t in range(count)
    ]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is not a string with text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"{value!r} is not an integer above 0")
    return value
