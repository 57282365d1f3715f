"""Shards: what they lack, and that a waiting process does not read finished ones again and again."""

from __future__ import annotations

import os
import shutil

import pytest

from tina_framework.errors import TrainingError
from tina_framework.zoo import shard_builder
from tina_framework.zoo.shard_builder import ShardBuilder
from tina_framework.zoo.shards import read_shard, write_model
from tina_framework.zoo.store import Zoo


@pytest.fixture
def copied(tmp_path, zoo_folder):
    shutil.copytree(zoo_folder, tmp_path / "zoo")
    return tmp_path / "zoo"


def test_what_shards_lack(plan, copied, config):
    builder = ShardBuilder(plan(copied))
    assert builder.pending(range(3)) == {}
    assert builder.num_models([1, 2]) == 3
    models = read_shard(copied, config, 1)
    (copied / "shards" / "shard-00001.safetensors").unlink()
    write_model(copied, *models[1])
    assert builder.pending(range(3)) == {1: [2]}


def test_a_waiting_process_reads_a_file_only_when_it_has_changed(plan, copied, monkeypatch):
    builder = ShardBuilder(plan(copied))
    path = copied / "shards" / "shard-00001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    reads = []
    monkeypatch.setattr(shard_builder, "read_shard", lambda *given: reads.append(1) or read_shard(*given))
    ready = builder.becomes_complete(1)
    assert [ready() for _ in range(50)] == [False] * 50
    assert len(reads) == 1
    path.write_bytes(whole)
    os.utime(path, ns=(1, 1))
    assert ready()
    assert len(reads) == 2
    path.unlink()
    assert not builder.becomes_complete(1)()


def test_models_that_vanish_are_one_sentence_unless_the_shard_is_there(plan, copied):
    generic = Zoo.open(copied).generic
    builder = ShardBuilder(plan(copied))
    assert list(builder.build({1: []}, generic, lambda: None)) == [1]  # another process finished it
    (copied / "shards" / "shard-00001.safetensors").unlink()
    with pytest.raises(TrainingError, match="Finished p-Models of shard 1 vanished"):
        list(builder.build({1: []}, generic, lambda: None))
