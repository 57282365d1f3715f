"""Defaults that follow the number of classes and images."""

from __future__ import annotations

import pytest

from tina_framework.zoo.reservation import reserves
from tina_framework.zoo.small_data import (
    count_words,
    default_class_counts,
    default_max_steps,
    reservation_note,
    small_narrow_recipe,
    small_recipes,
)
from tina_framework.zoo.zoo_config import GENERIC_RECIPE, MODEL_RECIPE, NARROW_RECIPE


@pytest.mark.parametrize("num_classes", [20, 80, 100, 1000])
def test_many_classes_keep_the_fixed_default(num_classes):
    assert default_class_counts(num_classes) == {10: 1.0}
    assert default_class_counts(num_classes, largest=4) == {4: 1.0}
    assert default_class_counts(num_classes, largest=50) == {10: 1.0}


def test_few_classes_have_tasks_of_every_count():
    assert default_class_counts(3) == {2: 1.0, 3: 1.0}
    assert list(default_class_counts(19)) == list(range(2, 20))
    assert list(default_class_counts(10, largest=5)) == [2, 3, 4, 5]


def test_the_recipes_of_cifar_do_not_change():
    assert small_recipes(45_000, {}, {}) == (GENERIC_RECIPE, MODEL_RECIPE)
    assert small_recipes(45_000, {"lr": 0.2}, {}) == (GENERIC_RECIPE | {"lr": 0.2}, MODEL_RECIPE)


@pytest.mark.parametrize("num_images", [2, 34, 317, 2000])
def test_few_images_are_seen_often_enough(num_images):
    from tina_framework.targets.sgd import SGDRecipe

    generic, model = small_recipes(num_images, {}, {})
    assert SGDRecipe(**generic).steps(num_images)[1] >= 2000
    assert generic["epochs"] >= GENERIC_RECIPE["epochs"]
    assert model == MODEL_RECIPE | {"batch_size": 32}


def test_fields_that_the_user_set_stay():
    generic, model = small_recipes(317, {"epochs": 3}, {"batch_size": 7})
    assert (generic["epochs"], generic["batch_size"], model["batch_size"]) == (3, 32, 7)
    generic, _ = small_recipes(317, {"batch_size": 128}, {})
    assert generic["epochs"] == 1000


def test_the_note_names_the_counts_without_reserved_sets():
    assert reservation_note(100, {10: 1.0}) is None
    note = reservation_note(10, default_class_counts(10))
    assert note is not None
    assert note.startswith("10 classes allow too few sets of 9 and 10 classes")
    assert [count for count in range(2, 11) if not reserves(10, count)] == [9, 10]


def test_counts_in_words():
    assert [count_words(c) for c in ([10], [2, 3], [2, 9, 10], {4, 2, 3})] == ["10", "2 and 3", "2, 9 and 10", "2 to 4"]


def test_many_classes_train_for_the_fixed_number_of_steps():
    assert default_max_steps(20, is_head=False) is default_max_steps(100, is_head=True) is None
    assert default_max_steps(19, is_head=False) == 500
    assert default_max_steps(2, is_head=True) == 300


def test_narrower_generic_models_train_long_enough_too():
    assert small_narrow_recipe(45_000, {}, {}) == NARROW_RECIPE == {"epochs": 60, "lr": 0.05}
    assert small_narrow_recipe(320, {"batch_size": 32}, {"lr": 0.2}) == {"epochs": 200, "lr": 0.2}
    assert small_narrow_recipe(320, {"batch_size": 32}, {"batch_size": 16}) == {
        "epochs": 100,
        "lr": 0.05,
        "batch_size": 16,
    }
    assert small_narrow_recipe(320, {"batch_size": 32}, {"epochs": 3}) == {"epochs": 3, "lr": 0.05}
