"""The scores that `abstain.py` compares; the package keeps the chosen one, the greatest logit."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tina_framework.classifier.abstention import SCORE, abstention_scores

__all__ = ["SCORES"]


def _entropy(logits_NK: Tensor) -> Tensor:
    return -(logits_NK.log_softmax(1) * logits_NK.softmax(1)).sum(1)


def _margin(logits_NK: Tensor) -> Tensor:
    best_N2 = logits_NK.softmax(1).topk(2, dim=1).values
    return best_N2[:, 0] - best_N2[:, 1]


SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "max-softmax": lambda logits_NK: logits_NK.float().softmax(1).amax(1),
    SCORE: abstention_scores,
    "energy": lambda logits_NK: logits_NK.float().logsumexp(1),
    "margin": lambda logits_NK: _margin(logits_NK.float()),
    "entropy": lambda logits_NK: -_entropy(logits_NK.float()),
}
"""Name -> function from logits (N, K) to scores (N,); a higher score means a surer answer.

In this order: the greatest probability (Hendrycks and Gimpel 2017), the greatest logit (Hendrycks et al. 2022),
the negative energy (Liu et al. 2020), the greatest minus the second probability, and the negative entropy.
"""
