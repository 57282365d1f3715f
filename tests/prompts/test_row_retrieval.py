"""Test the rows that are retrieved for known, unknown and left-out classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tina_framework.errors import DataError
from tina_framework.prompts.row_retrieval import RowRetrieval, dissimilarity


@pytest.fixture
def known() -> tuple[Tensor, Tensor]:
    """Conditions of 12 dissimilar classes, and rows that depend on them linearly with a little noise."""
    draws = torch.Generator().manual_seed(0)
    keys = torch.randn(12, 40, generator=draws)
    return keys, keys @ torch.randn(40, 5, generator=draws) / 6 + 0.1 * torch.randn(12, 5, generator=draws)


def test_a_known_class_gets_its_own_row(known) -> None:
    keys, rows = known
    found, familiarity = RowRetrieval(keys, rows).retrieve(keys)
    torch.testing.assert_close(found, rows, atol=1e-3, rtol=0)
    torch.testing.assert_close(familiarity, torch.ones(12))


def test_leaving_a_class_out_equals_a_fit_without_it(known) -> None:
    keys, rows = known
    rows = rows - rows.mean(0)
    for i in (0, 7):
        others = [s for s in range(12) if s != i]
        # The same penalty and the same mean row, which are what the closed form keeps of the class left out.
        strength = 3.0 * 12 * float(keys.square().sum()) / float(keys[others].square().sum()) / 12
        without = RowRetrieval(keys[others], rows[others], strength=strength)
        without._mean_D = torch.zeros(5)
        keys_double = keys[others].double()
        gram = keys_double @ keys_double.T
        penalty = 3.0 * float(keys.double().square().sum()) / 40 * torch.eye(11, dtype=torch.float64)
        without._coefficients_SD = torch.linalg.solve(gram + penalty, rows[others].double()).float()
        mask = torch.zeros(1, 12, dtype=torch.bool)
        mask[0, i] = True
        found, familiarity = RowRetrieval(keys, rows).retrieve(keys[i : i + 1], mask)
        expected, other_familiarity = without.retrieve(keys[i : i + 1])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(familiarity, other_familiarity)


def test_the_row_of_a_left_out_class_does_not_leak(known) -> None:
    """A changed row of a left-out class changes its retrieved row only by its share of the mean."""
    keys, rows = known
    mask = torch.eye(12, dtype=torch.bool)[3:4]
    changed = rows.clone()
    changed[3] += 60.0
    before, after = RowRetrieval(keys, rows), RowRetrieval(keys, changed)
    retrieved = before.retrieve(keys[3:4], mask)[0], after.retrieve(keys[3:4], mask)[0]
    assert float((retrieved[1] - retrieved[0]).abs().max()) < 5.0 + 1e-3  # 60 / 12 is the mean's move
    assert float((after.retrieve(keys[3:4])[0] - before.retrieve(keys[3:4])[0]).abs().min()) > 50.0


def test_conditions_of_unknown_classes_are_scaled_down_and_rows_appended(known) -> None:
    keys, rows = known
    retrieval = RowRetrieval(keys, rows)
    strangers = torch.randn(4, 40, generator=torch.Generator().manual_seed(1))
    extended = retrieval.append_rows(strangers)
    assert extended.shape == (4, 40 + retrieval.num_appended) == (4, 46)
    assert float(retrieval.similarity(strangers).max()) < 0.7
    assert not extended[:, :40].any()
    assert (extended[:, 40] == 1.0).all()
    torch.testing.assert_close(extended[:, 41:], retrieval.retrieve(strangers)[0])
    familiar = retrieval.append_rows(keys)
    torch.testing.assert_close(familiar[:, :40], keys, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(familiar[:, 40], torch.zeros(12), atol=1e-5, rtol=0)
    half = retrieval.append_rows(keys[:1] + 0.6 * keys[1:2])
    share = half[0, :40] / (keys[0] + 0.6 * keys[1])
    torch.testing.assert_close(share, (1 - half[0, 40]).expand(40), atol=1e-4, rtol=1e-4)
    assert 0.1 < float(half[0, 40]) < 0.9
    torch.testing.assert_close(half[:, 40], dissimilarity(retrieval.similarity(keys[:1] + 0.6 * keys[1:2])))


def test_rows_that_depend_on_the_condition_are_retrieved_better_than_their_mean() -> None:
    draws = torch.Generator().manual_seed(0)
    keys = torch.randn(60, 8, generator=draws)
    rows = keys @ torch.randn(8, 5, generator=draws)
    found, _ = RowRetrieval(keys, rows).retrieve(keys, torch.eye(60, dtype=torch.bool))
    assert float((found - rows).square().mean()) < 0.5 * float((rows.mean(0) - rows).square().mean())


def test_tensors_and_settings_make_an_equal_object(known) -> None:
    retrieval = RowRetrieval(*known, temperature=20.0, strength=1.0)
    settings = retrieval.settings()
    again = RowRetrieval.from_tensors(retrieval.state_dict(), settings["temperature"], settings["strength"])
    strangers = torch.randn(4, 40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.append_rows(strangers), retrieval.append_rows(strangers))
    assert settings["classes"] == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows_SD": torch.zeros(3, 5)}, r"conditions of shape \(12, 40\) and rows of shape \(3, 5\)"),
        ({"keys_SE": torch.zeros(1, 4), "rows_SD": torch.zeros(1, 5)}, "at least two classes"),
        ({"rows_SD": torch.full((12, 5), float("nan"))}, "is not finite"),
        ({"temperature": 0.0}, "above 0"),
    ],
)
def test_refusals(known, change, message) -> None:
    with pytest.raises(DataError, match=message):
        RowRetrieval(**({"keys_SE": known[0], "rows_SD": known[1]} | change))
