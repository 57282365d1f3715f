"""Settings of the denoiser."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tina_framework.config.sections.denoiser import DenoiserSettings
from tina_framework.denoiser.presets import PRESETS


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_accepted(preset: str) -> None:
    assert DenoiserSettings(preset=preset).preset == preset


def test_an_unknown_preset_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ValidationError, match="Did you mean 'small'"):
        DenoiserSettings(preset="smal")
