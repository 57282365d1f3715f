"""What a zoo refuses to open, and that the bundled ones open."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import tina_framework
from tina_framework.errors import CheckpointError
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_safetensors, write_safetensors
from tina_framework.zoo.store import Zoo, read_model, read_shard, write_index, write_model, write_shard

BUNDLED = sorted((Path(tina_framework.__file__).parent / "pretrained").glob("*-zoo"))


@pytest.mark.parametrize("folder", BUNDLED, ids=lambda folder: folder.name)
def test_bundled_zoos_open(folder):
    zoo = Zoo.open(folder)
    assert len(zoo) == zoo.config.num_models
    if zoo.entries:
        assert zoo.flat(zoo.entries[0].id).isfinite().all()


@pytest.fixture
def copy(tmp_path, zoo_folder):
    return shutil.copytree(zoo_folder, tmp_path / "copy")


def test_not_a_zoo(tmp_path):
    with pytest.raises(CheckpointError, match="is not a zoo"):
        Zoo.open(tmp_path)


def test_unfinished(copy):
    (copy / "index.json").unlink()
    with pytest.raises(CheckpointError, match="is not finished; run the same"):
        Zoo.open(copy)


def test_a_missing_shard_is_named(copy):
    (copy / "shards" / "shard-00001.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks shards/shard-00001\.safetensors \(2 models\)"):
        Zoo.open(copy)


def test_a_shard_that_was_cut_is_refused(copy):
    path = copy / "shards" / "shard-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match=r"is truncated or altered .*run the same `tina zoo build`"):
        Zoo.open(copy)


def test_a_damaged_shard_is_refused_when_read(copy):
    path = copy / "shards" / "shard-00000.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x40
    path.write_bytes(data)
    zoo = Zoo.open(copy)
    with pytest.raises(CheckpointError, match=r"was altered .*index\.json records"):
        zoo.verify()
    with pytest.raises(CheckpointError, match=r"was altered .*index\.json records"):
        zoo.flat(0)
    assert zoo.flat(4).numel()


def rewrite(path, change):
    value = json.loads(path.read_text())
    changed = change(value)
    path.write_text(json.dumps(value if changed is None else changed))
    renew_digest(path)


INDEX_DAMAGE = {
    "no shards": lambda index: index.pop("shards"),
    "no models": lambda index: index.pop("models"),
    "a model less": lambda index: index["models"].pop(),
    "a model twice": lambda index: index["models"].__setitem__(1, index["models"][0]),
    "a shard less": lambda index: index["shards"].pop(),
    "shards exchanged": lambda index: index["shards"].reverse(),
    "a path elsewhere": lambda index: index["shards"][0].__setitem__("file", "../../etc/passwd"),
    "ids of text": lambda index: index["shards"][0].__setitem__("ids", "01"),
    "no hash": lambda index: index["shards"][0].__setitem__("sha256", None),
    "shards of numbers": lambda index: index.__setitem__("shards", [1, 2, 3]),
    "models of numbers": lambda index: index.__setitem__("models", 5),
    "an id of text": lambda index: index["models"][0].__setitem__("id", "0"),
    "an id that is true": lambda index: index["models"][1].__setitem__("id", True),
    "classes of numbers": lambda index: index["models"][0].__setitem__("classes", [1, 2, 3]),
    "an unknown class": lambda index: index["models"][0]["classes"].__setitem__(0, "nothing"),
    "an accuracy of 7": lambda index: index["models"][0].__setitem__("validation_accuracy", 7),
    "another key": lambda index: index["models"][0].__setitem__("extra", 7),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_a_damaged_index_is_one_sentence(copy, damage):
    rewrite(copy / "index.json", lambda index: INDEX_DAMAGE[damage](index) and None)
    with pytest.raises(CheckpointError, match=r"is damaged .*; remove it and run the same"):
        Zoo.open(copy)


def test_an_index_that_was_edited_is_refused(copy):
    text = (copy / "index.json").read_text()
    (copy / "index.json").write_text(text.replace('"seed": 0', '"seed": 1', 1))
    with pytest.raises(CheckpointError, match="was changed after it was written"):
        Zoo.open(copy)
    for text in ("[]", "[" * 100_000, "", "null", '{"format": "tina-zoo-index"}'):
        (copy / "index.json").write_text(text)
        with pytest.raises(CheckpointError):
            Zoo.open(copy)


def test_an_altered_generic_model_is_refused(copy):
    path = copy / "generic.safetensors"
    data = bytearray(path.read_bytes())
    for place in range(8, len(data), len(data) // 40):
        damaged = data.copy()
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            Zoo.open(copy)
    # Even a whole file of another zoo is noticed.
    tensors = read_safetensors(BUNDLED[0] / "generic.safetensors")
    write_safetensors(path, tensors, digest=True)
    with pytest.raises(CheckpointError, match=r"was altered .*zoo\.json records"):
        Zoo.open(copy)


def test_a_shard_in_the_place_of_another_is_refused(copy):
    shutil.copyfile(copy / "shards" / "shard-00000.safetensors", copy / "shards" / "shard-00001.safetensors")
    with pytest.raises(CheckpointError, match=r"holds the p-Models 0, 1 instead of 2, 3"):
        Zoo.open(copy)


def test_a_short_shard_is_refused_even_if_the_index_knows_it(copy, config):
    models = read_shard(copy, config, 0)
    write_shard(copy, 0, models[:1])
    with pytest.raises(CheckpointError, match=r"holds the p-Models 0 instead of 0, 1"):
        Zoo.open(copy)
    with pytest.raises(CheckpointError, match=r"holds the p-Models 0 instead of 0, 1"):
        write_index(copy, config)


def test_a_shard_of_another_zoo_is_refused(copy, config):
    models = read_shard(copy, config, 0)
    write_shard(copy, 0, [(replace(entry, seed=4), flat) for entry, flat in models])
    with pytest.raises(CheckpointError, match="belongs to another zoo: p-Model 0 has seed 4"):
        Zoo.open(copy)
    write_shard(copy, 0, [(replace(entry, validation_accuracy=1.0), flat) for entry, flat in models])
    with pytest.raises(CheckpointError, match=r"holds other p-Models than index\.json lists"):
        Zoo.open(copy)


def test_vectors_of_a_wrong_length_are_refused(copy, config, spec):
    models = read_shard(copy, config, 0)
    write_shard(copy, 0, [(entry, flat[:-1]) for entry, flat in models])
    write_index(copy, config)
    with pytest.raises(CheckpointError, match="parameters, but 'cnn-2layer' has"):
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


@pytest.mark.parametrize(
    "value",
    [
        {"class_names": "abc"}, {"class_names": [1, 2]}, {"class_names": ["a", "a"]}, {"class_names": ["\x1b[31m"]},
        {"config": []}, {"config": None}, {"figures": 3}, {"sha256": {}}, {"trunk": 5},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_types_in_the_manifest_are_one_sentence(copy, value, spec):
    rewrite(copy / "zoo.json", lambda manifest: manifest | value)
    with pytest.raises(CheckpointError, match=r"zoo\.json|settings|trunk"):
        Zoo.open(copy).check(spec)


def test_a_foreign_or_altered_manifest(copy, spec):
    manifest = json.loads((copy / "zoo.json").read_text())
    (copy / "zoo.json").write_text(json.dumps(manifest | {"format": "other"}))
    renew_digest(copy / "zoo.json")
    with pytest.raises(CheckpointError, match="does not belong to a tina-zoo folder"):
        Zoo.open(copy)
    (copy / "zoo.json").write_text(json.dumps(manifest | {"version": 2}))
    renew_digest(copy / "zoo.json")
    with pytest.raises(CheckpointError, match="has version 2, but this program reads version 1"):
        Zoo.open(copy)
    (copy / "zoo.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "config"}))
    renew_digest(copy / "zoo.json")
    with pytest.raises(CheckpointError, match="lacks config"):
        Zoo.open(copy)
    del manifest["config"]["seed"]
    (copy / "zoo.json").write_text(json.dumps(manifest))
    renew_digest(copy / "zoo.json")
    with pytest.raises(CheckpointError, match="missing or unknown keys: seed"):
        Zoo.open(copy)
