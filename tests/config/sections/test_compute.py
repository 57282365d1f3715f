"""Settings of computation."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tina_framework.config.fields import may_change
from tina_framework.config.sections.compute import ComputeSettings


def test_threads_and_time_limits_may_change_on_resume() -> None:
    assert may_change(ComputeSettings) == {"target_workers", "process_timeout"}


@pytest.mark.parametrize("seconds", [0, -1, "soon", float("nan"), float("inf"), 8 * 24 * 3600])
def test_a_time_limit_is_a_number_of_seconds(seconds: object) -> None:
    with pytest.raises(ValidationError, match="process_timeout"):
        ComputeSettings(process_timeout=seconds)
