"""Settings of the optimizer."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tina_framework.config.sections.optimizer import OptimizerSettings


@pytest.mark.parametrize("name", ["adam_beta1", "adam_beta2", "ema_decay"])
def test_decays_lie_below_one(name: str) -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        OptimizerSettings(**{name: 1.0})


def test_the_learning_rate_is_finite_and_positive() -> None:
    for value in (0.0, float("inf"), float("nan")):
        with pytest.raises(ValidationError, match="learning_rate"):
            OptimizerSettings(learning_rate=value)
