"""Which images are shown and which are measured on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer


def test_validation_shows_and_measures_different_images(suite_request: Any) -> None:
    measurer = PromptMeasurer(suite_request(image_split="validation"))
    shown = {image.tobytes() for image in measurer.material.pictures.images}
    measured = np.asarray(measurer.dataset.load("validation").images)
    assert len(shown) == len(measured) // 2
    assert len(measurer.scorer.bank.images) == len(measured) // 2
