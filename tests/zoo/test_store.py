"""What a zoo refuses to open, and that the bundled ones open."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

import tina_framework
from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import read_safetensors
from tina_framework.zoo.store import Zoo

BUNDLED = sorted((Path(tina_framework.__file__).parent / "pretrained").glob("*-zoo"))


@pytest.mark.parametrize("folder", BUNDLED, ids=lambda folder: folder.name)
def test_bundled_zoos_open(folder):
    zoo = Zoo.open(folder)
    assert len(zoo) == zoo.config.num_models
    if zoo.entries:
        assert zoo.flat(zoo.entries[0].id).isfinite().all()


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
    with pytest.raises(CheckpointError, match=r"has [\d,]+ bytes instead of .*run the same `tina zoo build`"):
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


def test_a_pointer_of_git_lfs_is_named(copy):
    (copy / "shards" / "shard-00000.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid 1\n")
    with pytest.raises(CheckpointError, match="is a Git LFS pointer"):
        Zoo.open(copy)


def test_a_shard_that_changes_after_its_first_use_is_refused(copy):
    path = copy / "shards" / "shard-00000.safetensors"
    zoo = Zoo.open(copy)
    before = zoo.flat(0)
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"was altered .*index\.json records"):
        zoo.flat(0)
    data[-5] ^= 0x40
    path.write_bytes(data)
    assert torch.equal(zoo.flat(0), before)
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        zoo.flat(1)


def test_many_models_are_read_as_one_by_one(zoo_folder):
    zoo = Zoo.open(zoo_folder)
    order = [4, 0, 1, 3, 2, 2]
    assert [i for i, _ in zoo.flats(order)] == order
    assert all(torch.equal(flat, zoo.flat(i)) for i, flat in zoo.flats(order))
    assert zoo.blocks(range(5)) == [range(2), range(2, 4), range(4, 5)]
    assert zoo.blocks(order) == [[4], [0, 1], [3, 2, 2]]
    assert zoo.blocks(range(2), most=1) == [range(1), range(1, 2)]
    assert zoo.blocks([]) == []
    for wrong in (-1, 5):
        with pytest.raises(KeyError):
            zoo.flat(wrong)


def test_states_are_the_models_by_id(zoo_folder, spec):
    zoo = Zoo.open(zoo_folder)
    for entry, state in zip(zoo.entries, zoo.states(spec), strict=True):
        assert torch.equal(spec.flatten(state, len(entry.classes)), zoo.flat(entry.id))


def test_a_zoo_of_several_widths_is_seen_as_one_of_a_narrower_width(wide_zoo):
    zoo = Zoo.open(wide_zoo)
    assert len(zoo) == 1
    assert zoo.narrowed(ParameterSpec(cnn_2layer.at_width(1.25))) is zoo
    for width in (0.5, 1):
        spec = ParameterSpec(cnn_2layer.at_width(width))
        narrow = zoo.narrowed(spec)
        narrow.check(spec)
        narrow.verify()
        assert (narrow.architecture, narrow.config.architecture) == (spec.architecture.name,) * 2
        assert (len(narrow), list(narrow.states(spec)), narrow.config.generic_widths) == (0, [], ())
        assert (narrow.class_names, narrow.folder, narrow.place) == (zoo.class_names, zoo.folder, zoo.place)
        assert narrow.config.generic == zoo.config.narrow_recipe
        stored = read_safetensors(wide_zoo / f"generic-{width:g}.safetensors")
        assert all(torch.equal(narrow.generic[name], stored[name]) for name in stored)
        assert narrow.figures == {
            "generic": {"validation": zoo.figures["generic"]["validation_by_width"][f"{width:g}"]}
        }


def test_files_of_narrower_models_are_checked(wide_zoo, tmp_path):
    shutil.copytree(wide_zoo, tmp_path / "zoo")
    path, spec = tmp_path / "zoo" / "generic-0.5.safetensors", ParameterSpec(cnn_2layer.at_width(0.5))
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x40
    path.write_bytes(data)
    zoo = Zoo.open(tmp_path / "zoo")
    for read in (zoo.verify, lambda: zoo.narrowed(spec)):
        with pytest.raises(CheckpointError, match=r"generic-0\.5\.safetensors' was altered"):
            read()
    shutil.copyfile(tmp_path / "zoo" / "generic-1.safetensors", path)
    with pytest.raises(CheckpointError, match=r"generic-0\.5\.safetensors' was altered"):
        zoo.narrowed(spec)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"lacks generic-0\.5\.safetensors, its generic model of width 0\.5"):
        Zoo.open(tmp_path / "zoo")


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (cnn_2layer.at_width(0.75), "of 'cnn-2layer@1.25', and of the generic_widths 0.5, 1, so it has no 'cnn-2layer@0.75'"),
        (cnn_2layer.at_width(2), "so it has no 'cnn-2layer@2'; choose another width, or build a zoo whose generic_widths name"),
        (cnn_3layer, "holds 'cnn-2layer@1.25' networks, so it has no 'cnn-3layer'; choose a zoo of that architecture."),
    ],
    ids=lambda value: getattr(value, "name", ""),
)  # fmt: skip
def test_other_widths_and_families_are_refused(wide_zoo, architecture, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        Zoo.open(wide_zoo).narrowed(ParameterSpec(architecture))


def test_a_zoo_of_one_width_is_not_narrowed(zoo_folder, spec):
    zoo = Zoo.open(zoo_folder)
    assert zoo.narrowed(spec) is zoo
    with pytest.raises(ConfigError, match=r"generic models of 'cnn-2layer' alone, so it has no 'cnn-2layer@0\.5'"):
        zoo.narrowed(ParameterSpec(cnn_2layer.at_width(0.5)))
