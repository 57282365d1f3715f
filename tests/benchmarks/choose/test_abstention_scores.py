"""The scores that were compared for abstention."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.choose.abstention_scores import SCORES


@pytest.mark.parametrize("score", SCORES)
def test_a_clear_picture_scores_above_an_unclear_one(score: str) -> None:
    logits = torch.tensor([[5.0, 0.0, 0.0], [1.0, 0.9, 0.0], [0.0, 0.0, 0.0]])
    clear, unclear, flat = SCORES[score](logits).tolist()
    assert clear > unclear > flat


def test_the_formulas() -> None:
    logits = torch.tensor([[2.0, 1.0, -1.0]])
    p = torch.softmax(logits[0].double(), 0).tolist()
    assert {name: score(logits).item() for name, score in SCORES.items()} == pytest.approx(
        {
            "max-softmax": p[0],
            "max-logit": 2.0,
            "energy": math.log(sum(map(math.exp, (2.0, 1.0, -1.0)))),
            "margin": p[0] - p[1],
            "entropy": sum(x * math.log(x) for x in p),
        },
        rel=1e-5,
    )
