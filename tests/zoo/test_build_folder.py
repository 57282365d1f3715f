"""Where a zoo may be built, and what is cleared away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.errors import ConfigError
from tina_framework.storage.temporary import temporary_name
from tina_framework.zoo.build_folder import check_place, clean, remove_empty_models, remove_other_widths


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "Thumbs.db", "._x", "generic.partial.safetensors", "generic.safetensors", "generic-0.5.safetensors"],
)
def test_litter_and_the_beginning_of_a_zoo_are_no_obstacle(tmp_path, name):
    (tmp_path / name).touch()
    check_place(tmp_path)
    check_place(tmp_path / "new")


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "log.jsonl",
        "model.safetensors",
        "notes.txt",
        "checkpoints/x",
        "models/x",
        "generic-x.safetensors",
    ],
)
def test_other_folders_are_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(ConfigError, match=r"no zoo\.json, so it is not a zoo; nothing was changed"):
        check_place(tmp_path)


def test_files_are_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(ConfigError, match="is not a folder"):
            check_place(tmp_path / name)


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    for folder in ("models", "shards"):
        (tmp_path / folder).mkdir()
    leftovers = [str(temporary_name(Path(name))) for name in ("generic.safetensors", "models/000001.safetensors")]
    kept = ["zoo.json", ".hidden.partial", "notes.partial", "shards/shard-00000.safetensors"]
    for name in [*leftovers, *kept, "generic.partial.safetensors"]:
        (tmp_path / name).touch()
    clean(tmp_path)
    remove_empty_models(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {*kept, "shards"}


def test_generic_models_of_other_widths_are_removed(tmp_path):
    kept = [
        "generic.safetensors",
        "generic-0.5.safetensors",
        "generic.partial.safetensors",
        "generic-notes.txt",
        "zoo.json",
    ]
    for name in [*kept, "generic-1.safetensors", "generic-1e+06.safetensors"]:
        (tmp_path / name).touch()
    remove_other_widths(tmp_path, ["generic-0.5.safetensors", "generic-2.safetensors"])
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
