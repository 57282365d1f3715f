"""The files of p-Models: what they refuse, alone and beside the index."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import pytest

from tests.zoo.conftest import rewrite
from tina_framework.errors import CheckpointError
from tina_framework.storage.files import write_safetensors
from tina_framework.storage.folders import hashes
from tina_framework.zoo.index import write_index
from tina_framework.zoo.shards import read_model, read_shard, shard_path, write_model, write_shard
from tina_framework.zoo.store import Zoo


def of_file(path):
    """What the index says of a file."""
    return {"sha256": hashes(path)[path.name], "bytes": path.stat().st_size}


def test_a_shard_in_the_place_of_another_is_refused(copy):
    shutil.copyfile(copy / "shards" / "shard-00000.safetensors", copy / "shards" / "shard-00001.safetensors")
    rewrite(copy / "index.json", lambda index: index["shards"][1].update(of_file(shard_path(copy, 1))))
    with pytest.raises(CheckpointError, match=r"holds the p-Models 0, 1 instead of 2, 3"):
        Zoo.open(copy).flat(2)


def test_a_short_shard_is_refused_even_if_the_index_knows_it(copy, config):
    models = read_shard(copy, config, 0)
    write_shard(copy, 0, models[:1])
    rewrite(copy / "index.json", lambda index: index["shards"][0].update(of_file(shard_path(copy, 0))))
    with pytest.raises(CheckpointError, match=r"holds the p-Models 0 instead of 0, 1"):
        Zoo.open(copy).flat(0)
    with pytest.raises(CheckpointError, match=r"holds the p-Models 0 instead of 0, 1"):
        write_index(copy, config)


def test_a_shard_of_another_zoo_is_refused(copy, config):
    models = read_shard(copy, config, 0)
    for change, message in (
        ({"seed": 4}, "belongs to another zoo: p-Model 0 has seed 4"),
        ({"validation_accuracy": 1.0}, r"holds other p-Models than index\.json lists"),
    ):
        write_shard(copy, 0, [(replace(entry, **change), flat) for entry, flat in models])
        rewrite(copy / "index.json", lambda index: index["shards"][0].update(of_file(shard_path(copy, 0))))
        with pytest.raises(CheckpointError, match=message):
            Zoo.open(copy).flat(0)


def test_vectors_of_a_wrong_length_are_refused(copy, config, spec):
    models = read_shard(copy, config, 0)
    write_shard(copy, 0, [(entry, flat[:-1]) for entry, flat in models])
    rewrite(copy / "index.json", lambda index: index["shards"][0].update(of_file(shard_path(copy, 0))))
    with pytest.raises(CheckpointError, match=r"has the shape .*, but index\.json lists"):
        Zoo.open(copy).flat(1)
    for shard in range(config.num_shards):
        models = read_shard(copy, config, shard)
        write_shard(copy, shard, [(entry, flat[:100]) for entry, flat in models])
    write_index(copy, config)
    with pytest.raises(CheckpointError, match="have 100 parameters, but 'cnn-2layer' has"):
        Zoo.open(copy).check(spec)


@pytest.mark.parametrize("place", ["digest", "tensor", "metadata"])
def test_an_altered_finished_model_counts_as_missing(tmp_path, zoo_folder, place):
    entry, flat = Zoo.open(zoo_folder).entries[0], Zoo.open(zoo_folder).flat(0)
    write_model(tmp_path, entry, flat)
    assert read_model(tmp_path, 0) is not None
    path = tmp_path / "models" / "000000.safetensors"
    if place == "digest":
        write_safetensors(path, {"flat": flat}, {"entry": json.dumps(asdict(entry))})
    else:
        data = path.read_bytes()
        data = data[:-1] + bytes([data[-1] ^ 1]) if place == "tensor" else data.replace(b"0", b"1", 1)
        path.write_bytes(data)
    assert read_model(tmp_path, 0) is None


def test_equal_shards_are_equal_files(tmp_path, zoo_folder, config):
    write_shard(tmp_path, 0, read_shard(zoo_folder, config, 0))
    name = "shards/shard-00000.safetensors"
    assert (tmp_path / name).read_bytes() == (zoo_folder / name).read_bytes()
