"""Settings of computation."""

from __future__ import annotations

from tina_framework.config.fields import may_change
from tina_framework.config.sections.compute import ComputeSettings


def test_only_the_number_of_threads_may_change_on_resume() -> None:
    assert may_change(ComputeSettings) == {"target_workers"}
