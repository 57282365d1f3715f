"""Familiarity is fitted by leaving each class out in turn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import TOY_CLASSES
from tina_framework.evaluation.calibration.familiarity_fit import fit_familiarity
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer
from tina_framework.interfaces.dataset import LabelledImages

CLASSES = (*TOY_CLASSES, "yak", "zebu")


def test_small_classes_show_as_many_pictures_as_they_have(suite_request: Any) -> None:
    measurer = PromptMeasurer(suite_request(image_split="validation"))
    told: list[str] = []
    every = measurer.load_images("validation")
    for number, sentence in ((6, "prompts of 1 and 5. With 20 it is surer"), (0, "fitted to texts alone")):
        rows = [row for k in range(len(CLASSES)) for row in np.flatnonzero(every.labels == k)[:number]]
        few = LabelledImages(every.images[rows], every.labels[rows])
        measurer.load_images = lambda split, few=few: few  # type: ignore[method-assign, misc]
        measurer.material = replace(measurer.material, pictures=few)
        lines = fit_familiarity(measurer, told.append)
        assert ("images" in lines) == (number > 0)
        assert told.pop().endswith(f"{sentence}." if number else "add some.")
        assert not told


def test_familiarity_is_fitted_by_leaving_out(suite_request: Any, tmp_path: Path) -> None:
    measurer = PromptMeasurer(suite_request())
    lines = fit_familiarity(measurer)
    assert lines.keys() == {"text", "images"}
    assert lines["images"][1] > 0  # the more similar, the more familiar
    assert lines["text"][2:] == (0.0, 0.0)  # misspelt names say nothing about the number of words
    described = tmp_path / "prompts.json"
    described.write_text(json.dumps({name: f"one of the many kinds of {name} there are" for name in CLASSES}))
    by_words = fit_familiarity(PromptMeasurer(suite_request(descriptions=described)))["text"]
    assert by_words[2:] != (0.0, 0.0)
