"""Test `ConditionSpace`: the formula, the fit and the refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tina_framework.errors import DataError, PromptError
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.row_retrieval import RowRetrieval


def _vectors(rows: int = 50, width: int = 16) -> np.ndarray:
    draws = np.random.default_rng(0)
    # A strong common direction, as text encoders have.
    return (draws.normal(size=(rows, width)) + 3.0).astype(np.float32) * draws.uniform(1, 9, size=(rows, 1)).astype(
        np.float32
    )


def test_apply_is_the_formula() -> None:
    space = ConditionSpace("s", torch.tensor([0.5, 0.0]), 2.0)
    result = space.apply(np.array([[3.0, 4.0], [0.0, -7.0]], dtype=np.float32))
    torch.testing.assert_close(result, torch.tensor([[0.2, 1.6], [-1.0, -2.0]]))
    assert result.dtype == torch.float32


@pytest.mark.parametrize("with_rows", [False, True])
def test_many_tasks_have_the_same_bits_as_one_by_one(with_rows: bool) -> None:
    vectors = _vectors()
    space = ConditionSpace.fit("s", vectors)
    if with_rows:
        space.row_retrieval = RowRetrieval(space.apply(vectors), torch.from_numpy(_vectors(width=5)))
    tasks = [vectors[start : start + 4] + 0.1 for start in range(0, 40, 4)]
    expected = torch.stack([space.denoiser_input(task) for task in tasks])
    assert torch.equal(space.denoiser_inputs(tasks), expected)


def test_the_vector_at_fault_is_counted_in_its_own_task() -> None:
    space = ConditionSpace("s", torch.zeros(2), 1.0)
    tasks = [np.ones((3, 2), np.float32), np.array([[1, 0], [0, 0], [0, 1]], np.float32)]
    with pytest.raises(PromptError, match="vector number 1 is zero"):
        space.denoiser_inputs(tasks)
    with pytest.raises(PromptError, match=r"shape \(3, 4\), but the space 's' has width 2"):
        space.denoiser_inputs([tasks[0], np.ones((3, 4), np.float32)])


def test_the_length_of_the_raw_vector_does_not_matter() -> None:
    vectors = _vectors()
    space = ConditionSpace.fit("s", vectors)
    torch.testing.assert_close(space.apply(vectors), space.apply(vectors * 17.0))


def test_fit_centres_and_scales_to_unit_size() -> None:
    vectors = _vectors()
    conditions = ConditionSpace.fit("s", vectors).apply(vectors)
    torch.testing.assert_close(conditions.mean(dim=0), torch.zeros(16), atol=1e-5, rtol=0)
    assert float(conditions.norm(dim=1).mean()) == pytest.approx(math.sqrt(16), rel=1e-5)


def test_fit_refuses_equal_directions() -> None:
    with pytest.raises(DataError, match="have the same direction"):
        ConditionSpace.fit("s", np.ones((3, 4), dtype=np.float32) * np.array([[1], [2], [3]], dtype=np.float32))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_zero_and_infinite_vectors_are_refused(bad: float) -> None:
    vectors = _vectors(3, 4)
    space = ConditionSpace.fit("s", vectors)
    vectors[1] = bad
    with pytest.raises(PromptError, match="number 1 is zero or not finite"):
        space.apply(vectors)


def test_wrong_width_is_refused() -> None:
    space = ConditionSpace.fit("s", _vectors(3, 4))
    with pytest.raises(PromptError, match=r"shape \(2, 5\).*width 4"):
        space.apply(np.ones((2, 5), dtype=np.float32))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_impossible_scales_are_refused(scale: float) -> None:
    with pytest.raises(DataError, match="must be a finite number above 0"):
        ConditionSpace("s", torch.zeros(3), scale)
