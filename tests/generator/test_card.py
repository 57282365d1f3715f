"""The default model card."""

from __future__ import annotations

import dataclasses

import pytest

from tina_framework.generator.card import model_card
from tina_framework.generator.generator import Generator

FIGURES = {"accuracy": 0.5, "selection": 0.45, "difference": 0.05, "standard_error": 0.012, "num_tasks": 40}
RECIPE = {"dataset": "arrays:toy.npz", "train_split": "train", "zoo": "toy-zoo"}


@pytest.fixture(scope="module")
def config():
    return Generator.from_pretrained("cifar100-cnn").config


def test_data_and_validation_are_told(config) -> None:
    training = {"recipe": RECIPE, "zoo_models": 7, "validation": FIGURES}
    card = model_card(dataclasses.replace(config, training=training))
    assert "Trained on images `train` of the data set `arrays:toy.npz`, and 7 networks of the zoo `toy-zoo`." in card
    assert "50.0 % on 40 validation tasks" in card
    assert "(selection) had 45.0 %: a difference of +5.00 ± 1.20 points" in card


@pytest.mark.parametrize("validation", [None, {}, {"accuracy": 0.5}, {**FIGURES, "selection": "much"}, 3])
def test_what_was_not_recorded_is_not_told(config, validation: object) -> None:
    card = model_card(dataclasses.replace(config, training={"validation": validation}))
    assert "The training data was not recorded." in card
    assert "validation tasks" not in card


def test_the_limits_name_the_classes_it_knows(config) -> None:
    assert f"trained on {len(config.class_names)} classes" in model_card(config)
