"""What a zoo refuses to open, and that the bundled ones open."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tina_framework
from tina_framework.errors import CheckpointError
from tina_framework.storage.digest import renew_digest
from tina_framework.zoo.store import Zoo

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


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_shard_is_refused_when_read(copy, damage):
    path = copy / "shards" / "shard-00000.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    else:
        data[-5] ^= 0x40
    path.write_bytes(data)
    zoo = Zoo.open(copy)
    with pytest.raises(CheckpointError, match=r"was altered .*index\.json records"):
        zoo.flat(0)
    assert zoo.flat(4).numel()


@pytest.mark.parametrize("damage", ["no shards", "no model", "text"])
def test_a_damaged_index_is_one_sentence(copy, damage):
    index = json.loads((copy / "index.json").read_text())
    if damage == "no shards":
        del index["shards"]
    elif damage == "no model":
        index["models"].pop()
    (copy / "index.json").write_text("[]" if damage == "text" else json.dumps(index))
    with pytest.raises(CheckpointError, match="is damaged; remove it and run the same"):
        Zoo.open(copy)


def test_a_shard_without_a_digest_is_taken_as_it_is(copy):
    from tina_framework.storage.files import read_metadata, read_safetensors, write_safetensors
    from tina_framework.zoo.store import shard_entries, shard_path

    path = shard_path(copy, 0)
    entries = read_metadata(path)["entries"]
    write_safetensors(path, read_safetensors(path), {"entries": entries})
    assert [entry.id for entry in shard_entries(copy, 0)] == [0, 1]


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
