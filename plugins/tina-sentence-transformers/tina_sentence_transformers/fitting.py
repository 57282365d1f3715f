"""Fit a projection to names and vectors, measure it on held-out rows, and write its folder.

Shapes: R all rows, M rows of the fit, H held-out rows, D width of the sentence vectors, E width of the space.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import ConfigError, DataError
from tina_sentence_transformers.model import SentenceModel, find_model
from tina_sentence_transformers.projection import Confidence, Header, Projection, write_projection
from tina_sentence_transformers.ridge import FOLDS, cosines, cross_validate, fit, unit
from tina_sentence_transformers.rows import Rows, divide, families, read_names, read_rows, share_of

__all__ = ["Request", "figures", "fit_projection"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_BATCH = 64


@dataclass(frozen=True)
class Request:
    """The arguments of ``tina fit-projection``.

    Attributes:
        model, revision: see `find_model`.
        vectors: a table that `read_rows` reads.
        out: new folder of the projection.
        held_out: text file of names that are not fitted but measured; default: a share of the names, by hash.
        held_out_share: that share.
        anchors: text file of names whose vectors must match their rows; default: all rows have equal weight.
        landmarks: most rows that the kernel compares with; 0 fits a linear map.
    """

    model: str
    revision: str | None
    vectors: Path
    out: Path
    held_out: Path | None = None
    held_out_share: float = 0.15
    anchors: Path | None = None
    landmarks: int = 1000


def fit_projection(request: Request) -> dict[str, Any]:
    """Fit, measure and write a projection. Return the record of the fit, with figures for each template.

    Raises:
        ConfigError: a setting is wrong, or the output folder is not empty.
        DataError: rows or lists of names are missing, damaged or too few.
        TinaError: the model cannot be found or loaded; see `find_model` and `SentenceModel`.
    """
    if request.landmarks < 0:
        raise ConfigError(f"--landmarks is {request.landmarks}; give 0 (a linear map) or more.")
    if request.out.exists() and not (request.out.is_dir() and not any(request.out.iterdir())):
        raise ConfigError(f"'{request.out}' exists already; give --out a new folder.")
    rows = _in_order(read_rows(request.vectors))
    held_out = divide(rows, request.held_out, request.held_out_share)
    anchors = _anchors(rows, request.anchors, held_out)
    found = find_model(request.model, request.revision)
    model = SentenceModel(found)
    parts, measured = [], []
    for number, template in enumerate(rows.templates):
        x_MD = model.embed([template.replace("{}", name) for name in rows.names], batch=_BATCH)
        part, report = _one(x_MD, rows.vectors_TME[number], held_out, anchors, request.landmarks, rows.names)
        parts.append(part)
        measured.append({"template": template} | report)
    kernel = request.landmarks > 0
    record = {
        "rows": {"file": request.vectors.name, "sha256": hashlib.sha256(request.vectors.read_bytes()).hexdigest()},
        "fit": int((~held_out).sum()),
        "held_out": int(held_out.sum()),
        "anchors": int(anchors.sum()),
        "figures": measured,
    }
    header = Header(
        model=request.model,
        revision=found.revision,
        fingerprint=found.fingerprint(),
        model_dim=model.dim,
        space=rows.space,
        dim=int(rows.vectors_TME.shape[2]),
        templates=rows.templates,
        landmarks=len(parts[0].fit.origin_LD) if kernel else 0,
        gammas=tuple(part.fit.gamma for part in parts),
        confidence=tuple(part.confidence for part in parts),
        record=record,
    )
    write_projection(request.out, header, parts)
    return record


def _in_order(rows: Rows) -> Rows:
    """Sort rows by a hash of their names, so that the choice of landmarks does not depend on the order of the file."""
    order = sorted(range(len(rows.names)), key=lambda row: share_of(rows.names[row], "landmark "))
    return Rows(tuple(rows.names[row] for row in order), rows.vectors_TME[:, order], rows.templates, rows.space)


def _anchors(rows: Rows, file: Path | None, held_out: Mask) -> Mask:
    chosen = np.zeros(len(rows.names), dtype=bool)
    if file is not None:
        chosen[rows.find(read_names(file), f"'{file}'")] = True
        if bool((chosen & held_out).any()):
            name = rows.names[int(np.argmax(chosen & held_out))]
            raise DataError(
                f"'{name}' of '{file}' is also held out; remove it from one of the two lists, because it can be one or the other."
            )
    return chosen


def _one(
    x_RD: Floats, v_RE: Floats, held_out: Mask, anchors: Mask, landmarks: int, names: tuple[str, ...]
) -> tuple[Projection, dict[str, Any]]:
    """Fit one template: choose settings by cross-validation, fit all rows, and fit the confidence."""
    seen = ~held_out
    x_MD, v_ME, anchor_M = x_RD[seen], v_RE[seen], anchors[seen]
    kept = [name for name, use in zip(names, seen, strict=True) if use]
    fold_M = np.array([int(share_of(key, "fold ") * FOLDS) for key in families(kept)], dtype=np.intp)
    settings, by_cosine, by_length, by_similarity = cross_validate(x_MD, v_ME, landmarks, anchor_M, fold_M)
    fitted = fit(x_MD, v_ME, settings, anchor_M)
    line = _line(by_cosine, by_length, by_similarity, kernel=landmarks > 0)
    known = np.zeros(len(fitted.origin_LD))
    if landmarks:
        # The rows of the landmarks, in the order of `fit`: anchors first.
        order = np.concatenate([np.flatnonzero(anchor_M), np.flatnonzero(~anchor_M)])[: len(known)]
        known = cosines(fitted.predict(x_MD[order]), v_ME[order], fitted.mean_E)
    part = Projection(fitted, line, known)
    report: dict[str, Any] = {
        "kernel_width": settings.width if landmarks else None,
        "ridge": settings.ridge,
        "cross_validated_cosine": round(float(by_cosine.mean()), 4),
        "held_out": figures(fitted.predict(x_RD[held_out]), v_RE[held_out], fitted.mean_E),
        "confidence": _reliability(part.expected_cosine(x_RD[held_out]), x_RD[held_out], v_RE[held_out], part),
    }
    if anchor_M.any():
        report["anchors"] = figures(fitted.predict(x_MD[anchor_M]), v_ME[anchor_M], fitted.mean_E)
    return part, report


def _line(cosine_M: Floats, length_M: Floats, similarity_M: Floats, *, kernel: bool) -> Confidence:
    """Fit the confidence by least squares, to the cosines of rows that cross-validation left out."""
    columns = [np.ones_like(length_M), length_M, *([similarity_M] if kernel else [])]
    solution = np.linalg.lstsq(np.stack(columns, axis=1), cosine_M, rcond=None)[0]
    values = [round(float(value), 4) for value in solution] + [0.0]
    return Confidence(values[0], values[1], values[2])


def figures(predicted_HE: Floats, true_HE: Floats, mean_E: Floats) -> dict[str, Any]:
    """Return cosines after subtracting the mean, and how often a name's own vector is the nearest among those of the H names."""
    found = cosines(predicted_HE, true_HE, mean_E)
    close = unit(unit(predicted_HE) - mean_E) @ unit(unit(true_HE) - mean_E).T
    rank = (close > np.diag(close)[:, None]).sum(axis=1)
    return {
        "names": len(found),
        "cosine": round(float(found.mean()), 4),
        "cosine_quartiles": [round(float(value), 4) for value in np.quantile(found, (0.25, 0.5, 0.75))],
        "own_is_nearest": round(float((rank < 1).mean()), 4),
        "own_among_nearest_5": round(float((rank < 5).mean()), 4),
    }


def _reliability(promised_H: Floats, x_HD: Floats, v_HE: Floats, part: Projection) -> dict[str, Any]:
    """Compare the confidence with the true cosines on held-out rows, in fifths of rising confidence."""
    true = cosines(part.fit.predict(x_HD), v_HE, part.fit.mean_E)
    fifths = np.array_split(np.argsort(promised_H, kind="stable"), 5)
    varied = promised_H.std() > 0 and true.std() > 0
    return {
        "correlation": round(float(np.corrcoef(promised_H, true)[0, 1]), 4) if varied else None,
        "fifths": [[round(float(promised_H[f].mean()), 3), round(float(true[f].mean()), 3)] for f in fifths if len(f)],
    }
