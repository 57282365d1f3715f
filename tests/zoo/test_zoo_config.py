"""Settings of a zoo: what is refused, and what follows from them."""

from __future__ import annotations

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
