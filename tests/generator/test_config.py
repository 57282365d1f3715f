"""Configurations: what is refused, what is recorded, and the way to JSON and back."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.generator import Generator


def test_recorded_accuracy(tiny_generator: Generator) -> None:
    config = tiny_generator.config
    assert config.accuracy("toy", 3) == {"seen": 0.5, "unseen-combination": 0.25}
    assert config.accuracy("toy:FILE", 3) == {"seen": 0.5, "unseen-combination": 0.25}
    assert config.accuracy("toy", 4) == {}
    assert config.accuracy("clip-lite", 3) == {}


def test_impossible_configs_are_refused(tiny_generator: Generator) -> None:
    for changes, sentence in [
        ({"min_classes": 11}, "min_classes=11 is above max_classes=10"),
        ({"architecture": ""}, "architecture='' is not a name"),
        ({"training": {"loss": float("nan")}}, "cannot be written as JSON"),
        ({"metrics": {"a": object()}}, "cannot be written as JSON"),
        (
            {"preprocessing": {"fit": "stretch"}},
            "preprocessing is .*'stretch'.*, but this program knows only .*'crop-centre'",
        ),
        ({"preprocessing": {}}, "this program knows only"),
        ({"class_names": ()}, "class_names is .*, not a list of names"),
    ]:
        with pytest.raises(ConfigError, match=sentence):
            dataclasses.replace(tiny_generator.config, **changes)


def test_json_and_back(tiny_generator: Generator) -> None:
    values = json.loads(json.dumps(tiny_generator.config.to_dict()))
    assert GeneratorConfig.from_dict(values).to_dict() == values
    assert values["preprocessing"] == {"fit": "crop-centre"}
    with pytest.raises(CheckpointError, match="lacks preprocessing"):
        GeneratorConfig.from_dict({key: value for key, value in values.items() if key != "preprocessing"})
    # Defaults are left out, so that older versions can read the folder.
    assert not {"initial_noise", "abstention", "familiarity"} & values.keys()
    regressor = dataclasses.replace(tiny_generator.config, num_inference_steps=1, initial_noise=False)
    assert regressor.to_dict()["initial_noise"] is False
    assert not GeneratorConfig.from_dict(regressor.to_dict()).initial_noise
