"""Settings of the conditioning vectors."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tina_framework.config.sections.conditioning import ConditioningSettings


def test_at_least_one_encoder_is_needed() -> None:
    assert ConditioningSettings(encoders="clip-lite,other").encoders == ["clip-lite", "other"]
    with pytest.raises(ValidationError, match="at least 1 item"):
        ConditioningSettings(encoders=[])


def test_the_share_of_tasks_with_unseen_classes_is_a_fraction() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        ConditioningSettings(encoders="clip-lite", unseen_class_probability=1.5)
