"""Compare the answers of an exported file with those of the classifier.

Shapes: N pictures, H height, W width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import ExportError
from tina_framework.interfaces.exporter import Pixels, Predict

__all__ = ["TOLERANCE", "Accuracy", "Comparison", "compare", "made_up_pictures", "predicted"]

Logits = npt.NDArray[np.float32]

TOLERANCE = 1e-3
"""Largest difference between the logits of a floating-point file and of the classifier, as a fraction of the largest logit. Other
programs add up the same products in another order. The files of this project differ by less than 1e-4."""

_BATCH = 32
_MADE_UP = 100

_FEW = 4
"""With fewer pictures, no other answer is allowed by rounding up."""


@dataclass(frozen=True)
class Accuracy:
    """Share of right answers on labelled pictures, of the classifier and of the file."""

    classifier: float
    exported: float


@dataclass(frozen=True)
class Comparison:
    """How well a file answers as the classifier does.

    Attributes:
        pictures: N.
        source: where they came from: ``given``, ``calibration`` or ``made up``.
        largest_difference: between two logits.
        agreement: share of pictures with the same answer. In floating point, a tie counts as the same answer.
        accuracy: on labelled pictures; None: they have no labels.
    """

    pictures: int
    source: str
    largest_difference: float
    agreement: float
    accuracy: Accuracy | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def made_up_pictures(shape: tuple[int, int], count: int = _MADE_UP, seed: int = 0) -> Pixels:
    """Return (count, H, W, 3) uint8: smooth random colours with noise. They show errors of arithmetic, not of ranges.

    Args:
        shape: (H, W).
        count: number of pictures.
        seed: of the random numbers.
    """
    random = np.random.default_rng(seed)
    height, width = shape
    rows = np.linspace(0, 1, height)[None, :, None, None]
    columns = np.linspace(0, 1, width)[None, None, :, None]
    corners = random.uniform(0, 255, (4, count, 1, 1, 3))
    smooth = (
        corners[0] * (1 - rows) * (1 - columns)
        + corners[1] * rows * (1 - columns)
        + corners[2] * (1 - rows) * columns
        + corners[3] * rows * columns
    )
    noise = random.normal(0, 1, (count, height, width, 3)) * random.uniform(0, 60, (count, 1, 1, 1))
    pixels: Pixels = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    return pixels


def predicted(predict: Predict, pixels: Pixels) -> Logits:
    """Return the logits (N, K) float32 of pictures (N, H, W, 3), computed in small batches."""
    parts = [np.asarray(predict(pixels[start : start + _BATCH])) for start in range(0, len(pixels), _BATCH)]
    return np.concatenate(parts).astype(np.float32)


def compare(
    ours: Logits,
    theirs: Logits,
    *,
    int8: bool,
    source: str,
    min_agreement: float,
    labels: Sequence[int] | None = None,
) -> Comparison:
    """Compare two sets of logits (N, K).

    Args:
        ours: of the classifier.
        theirs: of the file.
        int8: whether the file computes with 8-bit integers. Then only the answers have to agree.
        source: where the pictures came from.
        min_agreement: smallest agreement of a file with 8-bit integers. The number of other answers that this allows is rounded up
            from four pictures on, because one tie among a dozen pictures says nothing.
        labels: N class indices, if the pictures have labels.

    Raises:
        ExportError: the file answers otherwise.
    """
    if theirs.shape != ours.shape or not np.isfinite(theirs).all():
        what = f"logits of the shape {theirs.shape}" if theirs.shape != ours.shape else "logits that are not finite"
        raise ExportError(
            f"The exported file returns {what}; nothing was written. Report this to the exporter's author."
        )
    difference = float(np.abs(ours - theirs).max())
    chosen, answers = ours.argmax(1), theirs.argmax(1)
    same = chosen == answers
    if not int8:
        tolerance = TOLERANCE * max(1.0, float(np.abs(ours).max()))
        rows = np.arange(len(ours))
        same |= ours[rows, chosen] - ours[rows, answers] <= tolerance
        if difference > tolerance or not same.all():
            raise ExportError(
                f"The exported file does not answer as the classifier does: logits differ by up to {difference:.2g} (allowed: "
                f"{tolerance:.2g}), and {_percent(same.mean())} of the {len(ours)} answers agree. Nothing was written. "
                "Another format may hold this network."
            )
    elif int((~same).sum()) > _most_others(len(same), min_agreement):
        raise ExportError(
            f"With 8-bit integers, {_percent(same.mean())} of the {len(ours)} answers agree with the classifier; "
            f"{_percent(min_agreement)} are required. Nothing was written. Calibrate on more pictures, on pictures like those "
            "to be classified, export floating point, or allow less with --min-agreement."
        )
    accuracy = None
    if labels is not None:
        truth = np.asarray(labels)
        accuracy = Accuracy(float((chosen == truth).mean()), float((answers == truth).mean()))
    return Comparison(len(ours), source, difference, float(same.mean()), accuracy)


def _most_others(count: int, min_agreement: float) -> int:
    allowed = round((1 - min_agreement) * count, 6)
    # Of one or two pictures, a single other answer would be most of them.
    return math.ceil(allowed) if count >= _FEW else math.floor(allowed)


def _percent(share: float) -> str:
    # Rounded down, so that 99.97 % is not called 100 %.
    return f"{math.floor(1000 * share) / 10:g} %"
