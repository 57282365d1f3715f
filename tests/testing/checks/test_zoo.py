"""The check of zoos rejects broken plugins."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.testing.checks.rejection import assert_rejected
from tina_framework import registries
from tina_framework.storage.digest import renew_digest


def test_a_zoo_that_was_altered_is_rejected(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(registries().zoos.target("cifar100-zoo"), tmp_path / "zoo"))
    manifest = folder / "zoo.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"cnn-2layer"', '"cnn-4layer"'), encoding="utf-8")
    assert_rejected("zoo", folder, "check_folder")
    renew_digest(manifest)
    assert_rejected("zoo", folder, "check_folder")
    manifest.write_text(text, encoding="utf-8")
    shard = next((folder / "shards").iterdir())
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert_rejected("zoo", folder, "check_folder")
