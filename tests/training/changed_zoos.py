"""Copies of a small zoo with one thing changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tina_framework.storage.files import read_json, read_safetensors, write_safetensors
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import read_manifest, write_manifest
from tina_framework.zoo.shards import read_shard, write_shard


def without(*names: str) -> Callable[[Path], None]:
    """Makes a zoo look as if it had been built without these classes."""

    def change(folder: Path) -> None:
        manifest, state = read_json(folder / "zoo.json"), read_safetensors(folder / "generic.safetensors")
        kept = [i for i, name in enumerate(manifest["class_names"]) if name not in names]
        for name in ("fc.weight", "fc.bias"):
            state[name] = state[name][kept]
        write_safetensors(folder / "generic.safetensors", state)
        models = read_shard(folder, read_manifest(folder).config, 0)
        models = [(entry, flat) for entry, flat in models if not {*names} & {*entry.classes}]
        models = [(replace(entry, id=i), flat) for i, (entry, flat) in enumerate(models)]
        manifest["config"]["num_models"] = len(models)
        write_manifest(folder, manifest | {"class_names": [manifest["class_names"][i] for i in kept]})
        write_shard(folder, 0, models)
        write_index(folder, read_manifest(folder).config)

    return change


def changed_zoo(world: Path, tmp_path: Path, change: Callable[[Path], None]) -> Path:
    folder = tmp_path / "zoo"
    shutil.copytree(world / "zoo", folder)
    change(folder)
    return folder
