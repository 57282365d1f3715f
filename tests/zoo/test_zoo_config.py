"""Settings of a zoo: what is refused, and what follows from them."""

from __future__ import annotations

import json
import re

import pytest

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.zoo.zoo_config import ZooConfig


def test_settings_that_make_no_sense():
    with pytest.raises(ConfigError, match="cannot be built"):
        ZooConfig(num_models=-1)
    with pytest.raises(ConfigError, match="train_split"):
        ZooConfig(train_split="test")
    with pytest.raises(CheckpointError, match="seed"):
        ZooConfig.from_json({k: v for k, v in ZooConfig().to_json().items() if k != "seed"})


def test_seeds_and_shards():
    config = ZooConfig(num_models=5, shard_size=2, seed=3)
    assert [list(config.shard_ids(s)) for s in range(config.num_shards)] == [[0, 1], [2, 3], [4]]
    assert config.model_seed(0) == config.model_seed(4) == 3
    apart = ZooConfig(num_models=5, seed=3, shared_order=False)
    assert len({apart.model_seed(i) for i in range(5)}) == 5


def test_how_a_zoo_is_cut_into_shards_is_no_difference():
    one = ZooConfig(num_models=5, seed=3)
    assert one.differences(ZooConfig(num_models=5, seed=3, shard_size=1)) == []
    assert one.differences(ZooConfig(num_models=6, seed=4)) == ["num_models", "seed"]


def test_a_teacher_is_written_only_if_there_is_one():
    plain, taught = ZooConfig(), ZooConfig(teacher="ab12")
    assert "teacher" not in plain.to_json()
    assert ZooConfig.from_json(plain.to_json()) == plain
    assert ZooConfig.from_json(taught.to_json()) == taught
    assert plain.differences(taught) == ["teacher"]


def test_widths_are_written_only_if_there_are_some():
    plain = ZooConfig()
    wide = ZooConfig(architecture="cnn-2layer@2", generic_widths=(1.5, 0.5, 1))
    assert "generic_widths" not in plain.to_json()
    assert plain.generic_widths == ()
    assert wide.generic_widths == (0.5, 1.0, 1.5)
    assert wide.to_json()["generic_widths"] == [0.5, 1.0, 1.5]
    assert ZooConfig.from_json(json.loads(json.dumps(wide.to_json()))) == wide
    assert ZooConfig.from_json(plain.to_json()) == plain
    assert wide.differences(ZooConfig(architecture="cnn-2layer@2", generic_widths=[1, 1.5])) == ["generic_widths"]


def test_the_recipe_of_narrower_models_changes_that_of_the_widest():
    wide = ZooConfig(generic={"epochs": 5, "batch_size": 32, "lr": 0.2}, generic_widths=(0.5,), narrow={"lr": 0.01})
    assert wide.narrow == {"epochs": 60, "lr": 0.01}
    assert wide.narrow_recipe == {"epochs": 60, "batch_size": 32, "lr": 0.01}
    assert wide.to_json()["narrow"] == {"epochs": 60, "lr": 0.01}
    assert ZooConfig.from_json(json.loads(json.dumps(wide.to_json()))) == wide
    assert wide.differences(ZooConfig(generic=wide.generic, generic_widths=(0.5,))) == ["narrow"]
    assert "narrow" not in ZooConfig().to_json()
    assert ZooConfig(narrow={}) == ZooConfig()


@pytest.mark.parametrize(
    ("narrow", "words"),
    [
        (3, "'narrow' is 3, expected a table"),
        ({"lr": 0}, "'narrow.lr' is 0, expected a number above 0"),
        ({"lrr": 1}, "unknown field 'narrow.lrr' (did you mean 'narrow.lr'?)"),
    ],
)
def test_recipes_of_narrower_models_that_make_no_sense(narrow, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        ZooConfig(generic_widths=(0.5,), narrow=narrow)
    with pytest.raises(ConfigError, match="'narrow' is set, but 'generic_widths' names no narrower width"):
        ZooConfig(narrow=narrow)
    with pytest.raises(CheckpointError, match=re.escape(words)):
        ZooConfig.from_json(ZooConfig(generic_widths=(0.5,)).to_json() | {"narrow": narrow})


@pytest.mark.parametrize(
    ("widths", "words"),
    [
        (0.5, "'generic_widths' is 0.5, expected a list of numbers above 0"),
        (None, "'generic_widths' is None, expected a list of numbers above 0"),
        (["1"], "expected a list of numbers above 0"),
        ([True], "expected a list of numbers above 0"),
        ([0], "expected a list of numbers above 0"),
        ([float("nan")], "expected a list of numbers above 0"),
        ([float("inf")], "expected a list of numbers above 0"),
        ([10**400], "expected a list of numbers above 0"),
        ([0.5, 1, 0.5], "'generic_widths' has 0.5 twice, expected each width once"),
        ([1, 1.0000001], "'generic_widths' has 1 twice"),
        ([0.5, 2, 3], "'generic_widths' has 2, 3, expected widths below 2, that of 'architecture' ('cnn-2layer@2')"),
    ],
)
def test_widths_that_make_no_sense(widths, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        ZooConfig(architecture="cnn-2layer@2", generic_widths=widths)
    assert "\n" not in str(caught.value)
    values = ZooConfig(architecture="cnn-2layer@2").to_json() | {"generic_widths": widths}
    with pytest.raises(CheckpointError, match=re.escape(words)):
        ZooConfig.from_json(values)


def test_the_plain_name_has_width_one():
    assert ZooConfig(generic_widths=(0.5,)).generic_widths == (0.5,)
    with pytest.raises(ConfigError, match="expected widths below 1, that of 'architecture'"):
        ZooConfig(generic_widths=(1,))
