"""An inverted index of spelling features: tf-idf cosines between a text and M names, without a dense matrix.

Features are stored as hashes, so that the file does not contain the names.

Shapes: M names, F features, Z stored (feature, name) pairs.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Postings"]


def _feature_hash(feature: str) -> int:
    return zlib.crc32(feature.encode()) - 2**31  # The range of int32.


class Postings:
    """An index from each feature to the names that have it.

    Args:
        num_names: M.
        hashes: (F,) int32, increasing.
        offsets: (F + 1,) int32; the pairs of feature f are offsets[f] to offsets[f + 1] - 1.
        names: (Z,) int16, index of each pair's name.
        counts: (Z,) uint8, number of times that the name has the feature.
    """

    def __init__(
        self,
        num_names: int,
        hashes: npt.NDArray[np.int32],
        offsets: npt.NDArray[np.int32],
        names: npt.NDArray[np.int16],
        counts: npt.NDArray[np.uint8],
    ) -> None:
        self._hashes, self._offsets, self._names = hashes, offsets, names.astype(np.int64)
        self._num_names = num_names
        self._rarity = np.log((num_names + 1) / (np.diff(offsets) + 1.0)) + 1.0
        self._rarity_unseen = math.log(num_names + 1) + 1.0
        # Convert first, because numpy computes the logarithm of uint8 in half precision.
        values = (1.0 + np.log(np.maximum(counts.astype(np.float64), 1.0))) * np.repeat(self._rarity, np.diff(offsets))
        norms = np.sqrt(np.bincount(self._names, weights=values**2, minlength=num_names))
        self._values = values / np.maximum(norms, 1e-12)[self._names]

    @classmethod
    def build(cls, features: Sequence[Sequence[str]]) -> dict[str, npt.NDArray[Any]]:
        """Return the four arrays for the features of M names."""
        pairs = sorted(
            (_feature_hash(feature), name, count)
            for name, found in enumerate(features)
            for feature, count in Counter(found).items()
        )
        hashes, starts = np.unique(np.array([pair[0] for pair in pairs], dtype=np.int32), return_index=True)
        return {
            "hashes": hashes,
            "offsets": np.append(starts, len(pairs)).astype(np.int32),
            "names": np.array([pair[1] for pair in pairs], dtype=np.int16),
            "counts": np.array([min(pair[2], 255) for pair in pairs], dtype=np.uint8),
        }

    def knows(self, feature: str) -> bool:
        """Whether any name has the feature."""
        return self._find(feature) is not None

    def similarities(self, features: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the tf-idf cosines (M,) between a text with these features and each name."""
        result = np.zeros(self._num_names)
        squares = 0.0
        for feature, count in sorted(Counter(features).items()):
            place = self._find(feature)
            value = (1.0 + math.log(count)) * (self._rarity_unseen if place is None else float(self._rarity[place]))
            squares += value**2
            if place is not None:
                pairs = slice(self._offsets[place], self._offsets[place + 1])
                result[self._names[pairs]] += value * self._values[pairs]
        return result / math.sqrt(max(squares, 1e-12))

    def _find(self, feature: str) -> int | None:
        value = _feature_hash(feature)
        place = int(np.searchsorted(self._hashes, value))
        return place if place < len(self._hashes) and self._hashes[place] == value else None
