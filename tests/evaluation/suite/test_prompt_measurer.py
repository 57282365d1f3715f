"""Which images are shown and which are measured on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer


def test_validation_shows_and_measures_different_images(suite_request: Any) -> None:
    world = PromptMeasurer(suite_request(image_split="validation"))
    shown = {image.tobytes() for image in world.speaker.pictures.images}
    measured = np.asarray(world.dataset.load("validation").images)
    assert len(shown) == len(measured) // 2
    assert len(world.scorer.bank.images) == len(measured) // 2
