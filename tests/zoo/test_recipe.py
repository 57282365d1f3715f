"""Recipes: files, overrides, and all mistakes at once."""

from __future__ import annotations

import numpy as np
import pytest

from tina_framework.errors import ConfigError
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages
from tina_framework.zoo.recipe import complete_recipe, load_recipe, read_recipe
from tina_framework.zoo.zoo_config import ZooConfig


def write(tmp_path, text):
    path = tmp_path / "zoo.toml"
    path.write_text(text)
    return path


def test_file_defaults_and_overrides(tmp_path):
    path = write(tmp_path, "num_models = 7\n[model]\nepochs = 3\n[class_counts]\n10 = 2\n5 = 1\n")
    config = load_recipe(path, {"num_models": 9, "seed": None, "dataset": "shapes"})
    assert config.num_models == 9
    assert config.model["epochs"] == 3
    assert config.model["lr"] == ZooConfig().model["lr"]
    assert config.class_counts == {10: 2.0, 5: 1.0}
    assert ZooConfig.from_json(config.to_json()) == config


def test_three_mistakes_are_named_at_once(tmp_path):
    path = write(tmp_path, 'num_modles = 7\nseed = "one"\n[model]\nlr = true\n')
    with pytest.raises(ConfigError, match=r"3 mistake") as caught:
        load_recipe(path, {})
    text = str(caught.value)
    assert "did you mean 'num_models'" in text
    assert "'seed' is 'one', expected a whole number" in text
    assert "'model.lr' is True, expected a number" in text


def test_values_out_of_range_are_mistakes_too(tmp_path):
    text = (
        '[model]\nlr = 0.0\nprecision = "x"\nmomentum = 1.0\n[generic]\nepochs = -1\naverage_last = 2\nbatch_size = 0\n'
    )
    with pytest.raises(ConfigError, match=r"6 mistake") as caught:
        load_recipe(write(tmp_path, text), {})
    assert "'model.lr' is 0.0, expected a number above 0" in str(caught.value)
    assert "'model.precision' is 'x', expected auto, fp32 or bf16" in str(caught.value)


def test_the_ranges_are_those_of_the_recipe():
    from tina_framework.targets.sgd import SGDRecipe

    for wrong in ({"lr": 0.0}, {"epochs": 0}, {"batch_size": 0}, {"momentum": 1.0}, {"average_last": 1.5}):
        with pytest.raises(ConfigError):
            SGDRecipe(**wrong)


def test_missing_or_malformed_files(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_recipe(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_recipe(write(tmp_path, "num_models ="), {})


@pytest.mark.parametrize(
    "text",
    [
        "num_models = 1000000000", "num_models = -1", "num_models = 1.5", "shard_size = 0", "num_models = 0x" + "f" * 9000,
        "seed = 99999999999999999999", "held_out_classes = 'cat'", "held_out_classes = [1]", "schemes = 3",
        "[schemes]\nrandom = -1", "[schemes]\nrandom = nan", "[class_counts]\n1000000000 = 1", "[class_counts]\n1 = 1",
        "[class_counts]\n-3 = 1", "[class_counts]\nx = 1", "[model]\nepochs = inf", "[model]\nlr = nan",
        "[model]\nbatch_size = 99999999999", "a = " + "[" * 5000, "a = " + "9" * 5000, "train_split = 'test'",
        "shared_order = false\nseed = 99999999", "\udcff",
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_every_bad_value_is_one_short_sentence(tmp_path, text):
    (tmp_path / "zoo.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load_recipe(tmp_path / "zoo.toml", {})
    assert len(str(caught.value)) < 500


def test_only_files_of_a_usual_size_are_read(tmp_path):
    import os

    with pytest.raises(ConfigError, match="not a regular file"):
        load_recipe(tmp_path, {})
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigError, match="not a regular file"):
            load_recipe(tmp_path / "pipe", {})
    (tmp_path / "large.toml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="are allowed"):
        load_recipe(tmp_path / "large.toml", {})


def test_a_dotted_key_that_takes_long_is_refused(tmp_path):
    (tmp_path / "zoo.toml").write_text(".".join("a" * 60) + " = 1\n")
    with pytest.raises(ConfigError, match="more than 50 parts"):
        load_recipe(tmp_path / "zoo.toml", {})


def small(num_classes, per_class=2):
    labels = np.repeat(np.arange(num_classes), per_class)
    images = LabelledImages(np.zeros((len(labels), 2, 2, 3), dtype=np.uint8), labels)
    return ArrayDataset("small", tuple(f"class {i}" for i in range(num_classes)), {"train": images})


@pytest.mark.parametrize(("num_classes", "num_models"), [(2, 1), (3, 4), (5, 26)])
def test_few_classes_get_as_many_models_as_there_are_class_sets(num_classes, num_models, spec):
    config = complete_recipe({"dataset": "small"}, small(num_classes), spec)
    assert config.num_models == num_models
    assert list(config.class_counts) == list(range(2, num_classes + 1))
    assert config.generic["epochs"] == 2000


def test_the_defaults_of_large_data_sets_are_the_fixed_ones(spec):
    many = small(100, per_class=450)
    assert complete_recipe({}, many, spec) == ZooConfig() == load_recipe(None, {})


def test_settings_of_the_user_stay(tmp_path, spec):
    path = write(tmp_path, "[model]\nepochs = 3\n[class_counts]\n3 = 1\n")
    config = complete_recipe(read_recipe(path, {"num_models": 7}), small(5), spec)
    assert (config.num_models, config.class_counts) == (7, {3: 1.0})
    assert config.model == {"epochs": 3, "batch_size": 32, "lr": 0.05, "weight_decay": 1e-4}


def test_held_out_classes_do_not_count(spec):
    config = complete_recipe({"held_out_classes": ["class 0", "class 1"]}, small(5), spec)
    assert list(config.class_counts) == [2, 3]
