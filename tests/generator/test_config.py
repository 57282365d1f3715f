"""Configurations: what is refused, what is recorded, and the way to JSON and back."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.generator.card import model_card
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.generator import Generator


def test_recorded_accuracy(tiny_generator: Generator) -> None:
    config = tiny_generator.config
    assert config.accuracy("toy", 3) == {"seen": 0.5, "unseen-combination": 0.25}
    assert config.accuracy("toy:FILE", 3) == {"seen": 0.5, "unseen-combination": 0.25}
    assert config.accuracy("toy", 4) == {}
    assert config.accuracy("clip-lite", 3) == {}


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [(["toy", 3], ("toy",)), ("toy", ()), (None, ()), (("toy", "clip-lite"), ("toy", "clip-lite"))],
)
def test_encoders_of_training(tiny_generator: Generator, recorded: Any, expected: tuple[str, ...]) -> None:
    config = dataclasses.replace(tiny_generator.config, training={"encoders": recorded})
    assert config.trained_encoders == expected


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


ODD_VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e308, 10**400, 2**63, "", "x", "x" * 10**4, "\x1b[31m", [], [[]], [None], [10**400]),
    *(["a"] * 3, {}, {"a": 1}, {"": None}, {"1": 10**400}, {"x" * 1000: []}),
]


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the keys that lead to every value of a JSON tree; of a list, to the first two."""
    inner = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))[:2]
        if isinstance(value, list)
        else []
    )
    for key, entry in inner:
        yield (*at, key)
        yield from _places(entry, (*at, key))


def _with(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copied = copy.copy(value)
    copied[at[0]] = _with(value[at[0]], at[1:], new)
    return copied


def test_odd_values_are_accepted_or_refused_with_a_sentence() -> None:
    config = Generator.from_pretrained("cifar100-cnn", device="cpu").config
    values = config.to_dict()
    for at in _places({key: value for key, value in values.items() if key != "training"}):
        for new in ODD_VALUES:
            try:
                found = GeneratorConfig.from_dict(_with(values, at, new), "The file")
            except CheckpointError as error:
                message = str(error)
            else:
                message = ""
                model_card(found)
                found.accuracy("clip-lite", 10)
            assert len(message) < 800, (at, new)
