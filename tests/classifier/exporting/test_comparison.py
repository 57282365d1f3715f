"""Files that answer otherwise are refused; ties are not."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from tina_framework.classifier.exporting.comparison import compare, made_up_pictures, predicted
from tina_framework.errors import ExportError

OURS = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 1.0], [5.0, 4.0]], dtype=np.float32)


def check(theirs: np.ndarray, *, int8: bool = False, **settings: object):
    return compare(OURS, theirs.astype(np.float32), int8=int8, source="given", min_agreement=0.98, **settings)


def test_equal_answers_pass() -> None:
    found = check(OURS + 1e-4)
    assert found.agreement == 1
    assert found.largest_difference == pytest.approx(1e-4, rel=0.01)
    assert found.to_json()["accuracy"] is None


def test_a_tie_may_break_either_way() -> None:
    theirs = OURS.copy()
    theirs[2] = [1.0, 1.0 + 1e-4]
    assert check(theirs).agreement == 1


@pytest.mark.parametrize(
    ("theirs", "sentence"),
    [
        (OURS * 1.1, r"logits differ by up to 0\.5 \(allowed: 0\.005\), and 100 % of the 4 answers agree"),
        (OURS[:, ::-1].copy(), r"and 25 % of the 4 answers agree"),
        (OURS[:2], r"returns logits of the shape \(2, 2\)"),
        (OURS * np.nan, "logits that are not finite"),
    ],
)
def test_other_answers_are_refused(theirs: np.ndarray, sentence: str) -> None:
    with pytest.raises(ExportError, match=sentence):
        check(theirs)


def test_integers_need_only_the_same_answers() -> None:
    theirs = OURS * 1.3
    assert check(theirs, int8=True).largest_difference > 1
    theirs[0] = [1, 2]
    # One other answer is allowed, because 2 % of four pictures are rounded up.
    assert check(theirs, int8=True).agreement == 0.75
    theirs[1] = [2, 1]
    with pytest.raises(ExportError, match=r"With 8-bit integers, 50 % of the 4 answers agree .* 98 % are required"):
        check(theirs, int8=True)


@pytest.mark.parametrize(
    ("count", "wrong", "passes"),
    [(100, 2, True), (100, 3, False), (40, 1, True), (40, 2, False), (3, 1, False), (1, 1, False)],
)
def test_two_of_a_hundred_answers_may_differ(count: int, wrong: int, passes: bool) -> None:
    ours = np.tile(np.array([[2.0, 1.0]], np.float32), (count, 1))
    theirs = ours.copy()
    theirs[:wrong] = theirs[:wrong, ::-1]
    with nullcontext() if passes else pytest.raises(ExportError, match="98 % are required"):
        compare(ours, theirs, int8=True, source="given", min_agreement=0.98)
    if wrong:
        with pytest.raises(ExportError, match="100 % are required"):
            compare(ours, theirs, int8=True, source="given", min_agreement=1.0)


def test_accuracy_on_labelled_pictures() -> None:
    theirs = OURS.copy()
    theirs[2] = [1.0, 1.0 + 1e-4]
    found = check(theirs, labels=[0, 1, 1, 1]).accuracy
    assert found is not None
    assert (found.classifier, found.exported) == (0.5, 0.75)


def test_made_up_pictures_are_repeatable_and_differ() -> None:
    first, second = made_up_pictures((8, 6), 5), made_up_pictures((8, 6), 5)
    assert first.shape == (5, 8, 6, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_pictures_are_given_in_small_batches() -> None:
    sizes = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        sizes.append(len(pixels))
        return np.zeros((len(pixels), 2))

    assert predicted(predict, made_up_pictures((4, 4), 70)).dtype == np.float32
    assert sizes == [32, 32, 6]
