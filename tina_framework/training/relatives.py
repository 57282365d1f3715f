"""Architectures that a run writes but does not train: each is written as a wider relative, and only in part.

The changes that the denoiser predicts were learnt for the relative. They suit the other network in part only, so whole changes make it
worse, and a share of them makes it better (docs/experiments/many.md). The shares are chosen on validation tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tina_framework.training.components import TrainingComponents
from tina_framework.training.validation import ValidationResult

__all__ = ["choose_shares", "recorded_shares"]

_SHARES = (0.15, 0.3, 0.5)
_ROW_SHARES = (0.25, 0.5, 0.75)


def choose_shares(
    target: TrainingComponents, measure: Callable[[], ValidationResult]
) -> tuple[ValidationResult, dict[str, float]]:
    """Choose which shares of the prediction count, set them in the target's row forecast, and return the figures with them.

    First the same share is tried for filters and class rows, then other shares for the rows.

    Args:
        target: an architecture with a relative.
        measure: measures it with the shares that it has at that moment.
    """
    context = target.context
    assert context.rows is not None

    def measured(shares: tuple[float, float]) -> tuple[float, tuple[float, float], ValidationResult]:
        assert context.rows is not None
        context.rows = context.rows.with_shares(*shares)
        result = measure()
        return result.accuracy, shares, result

    tried = [measured((share, share)) for share in _SHARES]
    filters = max(tried, key=lambda entry: entry[0])[1][0]
    tried += [measured((filters, share)) for share in _ROW_SHARES if share != filters]
    _, shares, result = max(tried, key=lambda entry: entry[0])
    context.rows = context.rows.with_shares(*shares)
    return result, {"filters": shares[0], "rows": shares[1]}


def recorded_shares(figures: Mapping[str, Mapping[str, object]], target: TrainingComponents) -> None:
    """Set the shares that an earlier validation chose, if its figures have any.

    Args:
        figures: architecture -> what `ValidationResult.by_architecture` holds of it.
        target: the architecture.
    """
    found = figures.get(target.spec.architecture.name, {}).get("shares")
    if isinstance(found, Mapping) and target.context.rows is not None:
        target.context.rows = target.context.rows.with_shares(float(found["filters"]), float(found["rows"]))
