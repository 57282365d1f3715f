"""Settings of validation."""

from __future__ import annotations

from tina_framework.config.fields import may_change
from tina_framework.config.sections.validation import ValidationSettings


def test_validation_influences_no_training_step() -> None:
    assert may_change(ValidationSettings) == ValidationSettings.model_fields.keys()


def test_none_validates_at_the_start_and_the_end_only() -> None:
    assert ValidationSettings(validation_steps="none").validation_steps is None
