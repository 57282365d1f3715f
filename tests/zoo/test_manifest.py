"""What `zoo.json` and the generic model may hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tina_framework
from tests.zoo.conftest import rewrite
from tina_framework.errors import CheckpointError
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_safetensors, write_safetensors
from tina_framework.zoo.store import Zoo

BUNDLED = sorted((Path(tina_framework.__file__).parent / "pretrained").glob("*-zoo"))


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
