"""The index of a zoo: what is refused, and the way back."""

from __future__ import annotations

import pytest

from tests.zoo.conftest import rewrite
from tina_framework.errors import CheckpointError
from tina_framework.zoo.index import read_index, write_index
from tina_framework.zoo.manifest import read_manifest
from tina_framework.zoo.shards import read_shard, shard_path, write_shard
from tina_framework.zoo.store import Zoo


def test_an_index_says_what_the_shards_hold(zoo_folder, config):
    index = read_index(zoo_folder, read_manifest(zoo_folder))
    stored = [model for shard in range(config.num_shards) for model in read_shard(zoo_folder, config, shard)]
    assert list(index.entries) == [entry for entry, _ in stored]
    assert {len(entry.classes): flat.numel() for entry, flat in stored} == index.parameters
    assert [shard.bytes for shard in index.shards] == [shard_path(zoo_folder, n).stat().st_size for n in range(3)]


def test_writing_it_again_gives_the_same_file(copy, config):
    before = (copy / "index.json").read_bytes()
    assert write_index(copy, config) == 5
    assert (copy / "index.json").read_bytes() == before


INDEX_DAMAGE = {
    "no shards": lambda index: index.pop("shards"),
    "no models": lambda index: index.pop("models"),
    "no parameters": lambda index: index.pop("parameters"),
    "parameters of a class count less": lambda index: index["parameters"].popitem(),
    "parameters of text": lambda index: index["parameters"].__setitem__("3", "7"),
    "a model less": lambda index: index["models"]["classes"].pop(),
    "a column less": lambda index: index["models"].pop("selection_accuracy"),
    "an accuracy less": lambda index: index["models"]["selection_accuracy"].pop(),
    "a shard less": lambda index: index["shards"].pop(),
    "shards exchanged": lambda index: index["shards"].reverse(),
    "a path elsewhere": lambda index: index["shards"][0].__setitem__("file", "../../etc/passwd"),
    "a size of text": lambda index: index["shards"][0].__setitem__("bytes", "12"),
    "no hash": lambda index: index["shards"][0].__setitem__("sha256", None),
    "shards of numbers": lambda index: index.__setitem__("shards", [1, 2, 3]),
    "models of numbers": lambda index: index.__setitem__("models", 5),
    "classes that are one number": lambda index: index["models"]["classes"].__setitem__(0, 1),
    "classes of text": lambda index: index["models"]["classes"].__setitem__(0, ["a", "b", "c"]),
    "a class that is true": lambda index: index["models"]["classes"][0].__setitem__(1, True),
    "an unknown class": lambda index: index["models"]["classes"][0].__setitem__(0, 64),
    "a class below 0": lambda index: index["models"]["classes"][0].__setitem__(0, -1),
    "a huge class": lambda index: index["models"]["classes"][0].__setitem__(0, 10**30),
    "a class count of another zoo": lambda index: index["models"]["classes"][0].extend([1, 2, 3]),
    "an accuracy of 7": lambda index: index["models"]["validation_accuracy"].__setitem__(0, 7),
    "an accuracy of text": lambda index: index["models"]["validation_accuracy"].__setitem__(0, "0"),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_a_damaged_index_is_one_sentence(copy, damage):
    rewrite(copy / "index.json", lambda index: INDEX_DAMAGE[damage](index) and None)
    with pytest.raises(CheckpointError, match=r"is damaged .*; remove it and run the same"):
        Zoo.open(copy)


def test_an_index_that_was_edited_is_refused(copy):
    text = (copy / "index.json").read_text()
    (copy / "index.json").write_text(text.replace('"bytes": ', '"bytes": 1', 1))
    with pytest.raises(CheckpointError, match="was changed after it was written"):
        Zoo.open(copy)
    for text in ("[]", "[" * 100_000, "", "null", '{"format": "tina-zoo-index"}'):
        (copy / "index.json").write_text(text)
        with pytest.raises(CheckpointError):
            Zoo.open(copy)


def test_models_of_two_lengths_are_not_listed(copy, config):
    models = read_shard(copy, config, 0)
    classes = len(models[0][0].classes)
    others = [entry for shard in (1, 2) for entry, _ in read_shard(copy, config, shard)]
    assert any(len(entry.classes) == classes for entry in others)
    write_shard(copy, 0, [(entry, flat[:-1]) for entry, flat in models])
    with pytest.raises(CheckpointError, match="parameters, but others of"):
        write_index(copy, config)
