"""Copying a zoo into a form that is small enough to ship: half precision, one shard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from tina_framework.errors import ConfigError
from tina_framework.storage.files import write_safetensors
from tina_framework.storage.folders import contents, writing_folder
from tina_framework.storage.paths import real_path, user_path
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import GENERIC, MANIFEST, generic_file, write_manifest
from tina_framework.zoo.shards import write_shard
from tina_framework.zoo.store import Zoo

__all__ = ["export_zoo"]


def export_zoo(zoo: Zoo, out: Path) -> int:
    """Write the copy and return its size in bytes. Generic models stay in full precision.

    Raises:
        ConfigError: `out` exists and is not an empty folder, it lies in a zoo, or it cannot be written.
        CheckpointError: a shard of the zoo is damaged.
    """
    out = user_path(out)
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not contents(out))):
        raise ConfigError(f"'{out}' exists; choose a new folder for the copy.")
    try:
        inside_zoo = (real_path(out).parent / MANIFEST).is_file()
    except OSError as error:
        raise ConfigError(f"'{out}' cannot be written ({error.strerror}); choose another place.") from error
    if inside_zoo:
        raise ConfigError(f"'{out}' lies in the folder of a zoo; choose a place outside it for the copy.")
    config = replace(zoo.config, shard_size=max(1, len(zoo)))
    with writing_folder(out, lambda path: False, "zoo") as folder:
        if zoo.entries:
            write_shard(folder, 0, [(entry, zoo.flat(entry.id).to(torch.float16)) for entry in zoo.entries])
        write_safetensors(folder / GENERIC, zoo.generic, digest=True)
        for width in config.generic_widths:
            write_safetensors(folder / generic_file(width), zoo.generic_at(width), digest=True)
        write_manifest(folder, zoo.manifest.values | {"config": config.to_json(), "dtype": "float16"})
        write_index(folder, config)
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
