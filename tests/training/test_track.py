"""Which architecture each step trains."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest

from tina_framework.training.track import Track, track_at


def tracks(*weights: float) -> list[Track]:
    return [Track(weight, cast(Any, None), []) for weight in weights]


def drawn(given: list[Track], seed: int, steps: range) -> list[int]:
    return [next(i for i, track in enumerate(given) if track is track_at(given, seed, step)) for step in steps]


def test_each_is_drawn_in_proportion_to_its_weight() -> None:
    counts = Counter(drawn(tracks(1, 3, 0.5), 0, range(3000)))
    for number, share in enumerate((1 / 4.5, 3 / 4.5, 0.5 / 4.5)):
        # Three standard deviations of 3000 draws are at most 0.026.
        assert counts[number] / 3000 == pytest.approx(share, abs=0.026)


def test_only_proportions_count() -> None:
    assert drawn(tracks(1, 3), 0, range(200)) == drawn(tracks(100, 300), 0, range(200))


def test_weight_zero_is_never_drawn() -> None:
    assert 1 not in drawn(tracks(1, 0, 1), 0, range(500))
    assert drawn(tracks(0, 2), 0, range(20)) == [1] * 20


def test_a_draw_follows_from_the_seed_and_the_step_alone() -> None:
    given = tracks(1, 1, 1)
    whole = drawn(given, 7, range(60))
    assert drawn(given, 7, range(40, 60)) == whole[40:]
    assert drawn(given, 8, range(60)) != whole
    # Those that are not drawn have no influence on the draws of the others.
    assert drawn(tracks(1, 1, 1, 0), 7, range(60)) == whole
