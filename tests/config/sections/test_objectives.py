"""Settings of the objectives."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tina_framework.config.sections.objectives import ObjectiveSettings


@pytest.mark.parametrize(
    "changes",
    [
        {"task_weight": -1},
        {"rollout_probability": 2},
        {"task_batch_size": 0},
        {"draws_per_task": 0},
        {"joint_weight": 1.1},
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        ObjectiveSettings(**changes)  # type: ignore[arg-type]


def test_none_switches_the_weighting_of_timesteps_off() -> None:
    assert ObjectiveSettings(snr_gamma="none").snr_gamma is None
    assert ObjectiveSettings(snr_gamma=5).snr_gamma == 5
