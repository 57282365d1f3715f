"""Recognising recorded images by SHA-256, so that no image has to ship.

The digest of an image is that of its class name, a zero byte and its pixels (H, W, 3), row by row. A record keeps one
digest over all images in their order, one over all of them sorted, and the first twelve hexadecimal digits of each
image's digest. With these, the recorded images are found again in a larger collection.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from tina_framework.interfaces.dataset import LabelledImages, scaled_to

if TYPE_CHECKING:
    from tina_framework.interfaces.dataset import Dataset

__all__ = ["Fingerprint", "Match", "PickedPictures", "compare", "find", "fingerprint", "picture_digests"]

_SHORT = 12
"""48 bits: among 10,000 pictures, one taken for another has a chance of about one in five million."""


class Match(Enum):
    """How images relate to the recorded ones."""

    same = "the recorded pictures"
    reordered = "the recorded pictures in another order"
    found = "more pictures; the recorded ones were picked out of them"
    other = "other pictures than the recorded ones"


@dataclass(frozen=True)
class Fingerprint:
    """Identifies a collection of labelled images.

    Attributes:
        images: how many.
        per_class: fewest and most images of a class.
        ordered: SHA-256 over the digests of all images in their order.
        unordered: the same over the sorted digests.
    """

    images: int
    per_class: tuple[int, int]
    ordered: str
    unordered: str

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "per_class": list(self.per_class),
            "sha256": self.ordered,
            "sha256_in_any_order": self.unordered,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fingerprint:
        low, high = value["per_class"]
        return cls(int(value["images"]), (low, high), value["sha256"], value["sha256_in_any_order"])


def picture_digests(data: LabelledImages, class_names: Sequence[str]) -> list[str]:
    """Return the SHA-256 of each image, hexadecimal, in their order."""
    heads = [name.encode() + b"\0" for name in class_names]
    images = np.ascontiguousarray(data.images)
    return [
        hashlib.sha256(heads[label] + image.tobytes()).hexdigest()
        for image, label in zip(images, data.labels.tolist(), strict=True)
    ]


def fingerprint(data: LabelledImages, digests: Sequence[str]) -> Fingerprint:
    """Return the fingerprint of labelled images, given their `picture_digests`."""
    counts = Counter(data.labels.tolist()).values()
    return Fingerprint(
        len(data), (min(counts, default=0), max(counts, default=0)), _over(digests), _over(sorted(digests))
    )


def _over(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def shortened(digests: Sequence[str]) -> list[str]:
    """Return the part of each digest that a record keeps."""
    return [digest[:_SHORT] for digest in digests]


def compare(found: Fingerprint, recorded: Fingerprint) -> Match:
    """Compare two fingerprints. This does not look for the recorded images among others; `find` does."""
    if found.ordered == recorded.ordered:
        return Match.same
    return Match.reordered if found.unordered == recorded.unordered else Match.other


def find(digests: Sequence[str], wanted: Sequence[str], recorded: Fingerprint) -> list[int] | None:
    """Return the rows of the recorded images, in their present order; None if some of them are missing.

    Args:
        digests: `picture_digests` of the images at hand.
        wanted: shortened digests of the recorded images.
        recorded: the fingerprint that the found images must have.
    """
    left = Counter(wanted)
    rows = []
    for row, digest in enumerate(digests):
        if left[digest[:_SHORT]] > 0:
            left[digest[:_SHORT]] -= 1
            rows.append(row)
    # Shortened digests may collide, so the full digests of the found images must give the recorded fingerprint.
    return rows if _over(sorted(digests[row] for row in rows)) == recorded.unordered else None


class PickedPictures:
    """A `Dataset` in which one split holds only some of its images.

    Args:
        dataset: the whole data set.
        split: the split that is reduced.
        rows: which of its images are kept.
    """

    def __init__(self, dataset: Dataset, split: str, rows: Sequence[int]) -> None:
        self._dataset, self._split, self._rows = dataset, split, list(rows)
        self.name = dataset.name
        self.class_names = dataset.class_names
        self.superclasses = dataset.superclasses

    def load(self, split: str) -> LabelledImages:
        """Load a split; see `Dataset.load`."""
        data = self._dataset.load(split)
        return LabelledImages(data.images[self._rows], data.labels[self._rows]) if split == self._split else data

    def scaled_to(self, height: int, width: int) -> Dataset:
        """Return the same images at another size, if the data set can scale them."""
        scaled = scaled_to(self._dataset, height, width)
        return self if scaled is self._dataset else PickedPictures(scaled, self._split, self._rows)
