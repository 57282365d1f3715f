"""Against values worked out by hand and the t table printed in textbooks."""

from __future__ import annotations

import math

import pytest

from tina_framework.evaluation.statistics import paired, student_t_cdf, student_t_quantile, summarize


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (29, 2.04523), (99, 1.98422), (10_000, 1.96020)],
)
def test_quantiles_match_the_printed_table(degrees: int, expected: float) -> None:
    assert student_t_quantile(0.975, degrees) == pytest.approx(expected, abs=6e-6 * max(1, expected))


def test_one_degree_of_freedom_is_the_cauchy_distribution() -> None:
    for t in (-3.0, -0.5, 0.0, 0.7, 2.0, 40.0):
        assert student_t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)


def test_two_degrees_of_freedom_has_a_closed_form() -> None:
    for t in (-2.0, 0.3, 5.0):
        assert student_t_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-12)


@pytest.mark.parametrize(("probability", "degrees"), [(0.5, 3), (1.0, 3), (0.975, 0)])
def test_impossible_quantiles_are_refused(probability: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="probability"):
        student_t_quantile(probability, degrees)


def test_summary_by_hand() -> None:
    # Mean 0.6; squared deviations 0.01, 0, 0.01, 0, 0.0; sum 0.02; variance 0.02 / 4; t(0.975, 4) = 2.776445.
    summary = summarize([0.5, 0.6, 0.7, 0.6, 0.6])
    assert summary.n == 5
    assert summary.mean == pytest.approx(0.6)
    assert summary.std == pytest.approx(math.sqrt(0.005))
    half = 2.776445 * math.sqrt(0.005) / math.sqrt(5)
    assert summary.ci95 == pytest.approx((0.6 - half, 0.6 + half), abs=1e-6)
    assert summary.to_json()["ci95"] == list(summary.ci95 or ())


def test_paired_differences_by_hand() -> None:
    # Differences 0.1, 0.2, 0.3: mean 0.2, standard deviation 0.1, t(0.975, 2) = 4.302653.
    summary = paired([0.6, 0.7, 0.8], [0.5, 0.5, 0.5])
    assert (summary.n, summary.mean, summary.std) == (3, pytest.approx(0.2), pytest.approx(0.1))
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert summary.ci95 == pytest.approx((0.2 - half, 0.2 + half), abs=1e-6)


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError):
        paired([0.5, 0.6], [0.5])


def test_a_single_value_has_no_spread_and_none_no_mean() -> None:
    assert summarize([0.4]).to_json() == {"mean": 0.4, "std": None, "ci95": None}
    with pytest.raises(ValueError, match="No values"):
        summarize([])
