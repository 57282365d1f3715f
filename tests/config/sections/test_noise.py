"""Settings of the noise process."""

from __future__ import annotations

from typing import get_args

import pytest

from tina_framework.config.sections.noise import NoiseSettings
from tina_framework.interfaces.noise_process import BETA_SCHEDULES, NOISE_PROCESSES


def test_the_choices_are_those_of_the_noise_processes() -> None:
    fields = NoiseSettings.model_fields
    assert get_args(fields["beta_schedule"].annotation) == BETA_SCHEDULES
    allowed = {kind for process in NOISE_PROCESSES.values() for kind in process.prediction_types}
    assert set(get_args(fields["prediction_type"].annotation)) == allowed


@pytest.mark.parametrize("name", sorted(NOISE_PROCESSES))
def test_every_setting_of_a_noise_process_is_a_setting_of_training(name: str) -> None:
    assert set(NOISE_PROCESSES[name].settings) <= NoiseSettings.model_fields.keys()
