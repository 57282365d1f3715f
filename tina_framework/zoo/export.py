"""Copying a zoo into a form that is small enough to ship: half precision, one shard."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from tina_framework.errors import ConfigError
from tina_framework.storage.digest import with_digest
from tina_framework.storage.files import read_json, write_json, write_safetensors
from tina_framework.zoo.store import Zoo, write_index, write_shard

__all__ = ["export_zoo"]


def export_zoo(zoo: Zoo, out: Path) -> int:
    """Write the copy and return its size in bytes. The generic model stays in full precision.

    Raises:
        ConfigError: `out` exists.
    """
    if out.exists():
        raise ConfigError(f"'{out}' exists; choose a new folder for the copy.")
    # Written beside `out` and renamed at the end, so that a stopped export leaves no incomplete zoo.
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        config = replace(zoo.config, shard_size=max(1, len(zoo)))
        if zoo.entries:
            write_shard(partial, 0, [(entry, zoo.flat(entry.id).to(torch.float16)) for entry in zoo.entries])
        write_safetensors(partial / "generic.safetensors", zoo.generic)
        manifest = read_json(zoo.folder / "zoo.json")
        manifest |= {"config": config.to_json(), "dtype": "float16"}
        write_json(partial / "zoo.json", with_digest(manifest, "zoo.json"))
        write_index(partial, config)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
