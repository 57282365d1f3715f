"""Settings of the output."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tina_framework.config.fields import may_change
from tina_framework.config.sections.output import OutputSettings


def test_output_influences_no_training_step() -> None:
    assert may_change(OutputSettings) == OutputSettings.model_fields.keys()


def test_at_least_two_checkpoints_are_kept() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        OutputSettings(output_dir="run", checkpoints_total_limit=1)
