"""Familiarity is fitted by leaving each class out in turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import TOY_CLASSES
from tina_framework.evaluation.calibration.familiarity_fit import fit_familiarity
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer

CLASSES = (*TOY_CLASSES, "yak", "zebu")


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
