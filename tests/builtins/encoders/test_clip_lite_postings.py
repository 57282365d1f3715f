"""Compare the similarities with a dense computation by definition."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from tina_framework.builtins.encoders.clip_lite_postings import Postings

NAMES = [["red", "fox"], ["red", "red", "panda"], ["fox"], ["grey", "wolf"]]


@pytest.fixture
def postings() -> Postings:
    return Postings(len(NAMES), **Postings.build(NAMES))


def dense(query: list[str]) -> list[float]:
    """tf-idf cosines by the formula: (1 + log count) (1 + log((M + 1) / (df + 1)))."""

    def weights(features: list[str]) -> dict[str, float]:
        found = Counter(features)
        rarity = {f: 1 + math.log((len(NAMES) + 1) / (sum(f in n for n in NAMES) + 1)) for f in found}
        return {f: (1 + math.log(count)) * rarity[f] for f, count in found.items()}

    def cosine(a: dict[str, float], b: dict[str, float]) -> float:
        lengths = math.sqrt(sum(v * v for v in a.values())) * math.sqrt(sum(v * v for v in b.values()))
        return sum(a[f] * b.get(f, 0.0) for f in a) / lengths

    return [cosine(weights(query), weights(name)) for name in NAMES]


@pytest.mark.parametrize("query", [["red", "fox"], ["red"], ["fox", "unheard"], ["red", "red", "fox"], ["unheard"]])
def test_similarities_are_tf_idf_cosines(postings: Postings, query: list[str]) -> None:
    np.testing.assert_allclose(postings.similarities(query), dense(query), atol=1e-12)


def test_a_name_equals_itself(postings: Postings) -> None:
    for row, name in enumerate(NAMES):
        assert postings.similarities(name)[row] == pytest.approx(1.0)


def test_knows(postings: Postings) -> None:
    assert postings.knows("panda")
    assert not postings.knows("unheard")


def test_the_order_of_features_does_not_matter(postings: Postings) -> None:
    there, back = ["grey", "red", "fox", "x"], ["x", "fox", "red", "grey"]
    np.testing.assert_array_equal(postings.similarities(there), postings.similarities(back))
