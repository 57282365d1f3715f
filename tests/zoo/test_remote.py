"""Zoos in remote folders: built, continued by another machine, read through a cache, and refused when damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from tests.zoo.conftest import rewrite
from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.errors import CheckpointError, ConfigError, DependencyError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.remote import RemoteFolder
from tina_framework.zoo.builder import build_zoo
from tina_framework.zoo.remote import working_folder
from tina_framework.zoo.stages import build_generic, build_index, build_models
from tina_framework.zoo.store import Zoo

ADDRESS = "memory://bucket/zoo"
FILES = ["generic.safetensors", "index.json", *(f"shards/shard-0000{n}.safetensors" for n in range(3)), "zoo.json"]


@pytest.fixture(autouse=True)
def _machine(tmp_path, monkeypatch):
    """An empty remote place, and an empty cache on this machine."""
    MemoryFileSystem.store.clear()
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    yield
    MemoryFileSystem.store.clear()


def stored():
    return {name.removeprefix("/bucket/zoo/"): file.getvalue() for name, file in MemoryFileSystem.store.items()}


@pytest.fixture
def remote(zoo_folder):
    """A finished zoo in the remote place."""
    for name in FILES:
        RemoteFolder(ADDRESS).send(zoo_folder / name, name)
    return ADDRESS


def test_a_build_sends_every_finished_file(plan, zoo_folder, monkeypatch, tmp_path):
    assert build_zoo(plan(Path(ADDRESS))) == 5
    assert stored() == {name: (zoo_folder / name).read_bytes() for name in FILES}


def test_another_machine_takes_over_what_is_there(plan, zoo_folder, monkeypatch, tmp_path):
    build_generic(plan(ADDRESS))
    assert sorted(stored()) == ["generic.safetensors", "zoo.json"]
    for number in range(3):  # every stage on a machine of its own
        monkeypatch.setenv("TINA_CACHE", str(tmp_path / f"cache-{number}"))
        assert build_models(plan(ADDRESS), [number]) == min(2, 5 - 2 * number)
        assert build_models(plan(ADDRESS), [number]) == 0
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache-last"))
    assert build_models(plan(ADDRESS), range(3)) == 0
    assert build_index(plan(ADDRESS)) == 5
    assert stored() == {name: (zoo_folder / name).read_bytes() for name in FILES}


def test_a_shard_that_is_half_there_is_built_again(plan, remote, zoo_folder):
    name = FILES[2]
    file = MemoryFileSystem.store[f"/bucket/zoo/{name}"]
    file.truncate(100)
    build_models(plan(ADDRESS), range(3))
    assert stored()[name] == (zoo_folder / name).read_bytes()


def test_a_shard_with_other_bytes_is_built_and_sent_again(plan, remote, zoo_folder):
    name = FILES[2]
    file = MemoryFileSystem.store[f"/bucket/zoo/{name}"]
    file.seek(-20, 2)
    file.write(b"damaged")
    assert len(stored()[name]) == (zoo_folder / name).stat().st_size
    assert build_models(plan(ADDRESS), range(3)) == 2
    assert stored()[name] == (zoo_folder / name).read_bytes()


def test_another_zoo_in_the_remote_folder_is_refused(plan, config, remote):
    from dataclasses import replace

    with pytest.raises(ConfigError, match="holds a zoo of other settings"):
        plan(ADDRESS, settings=replace(config, seed=3))
    MemoryFileSystem.store["/bucket/zoo/zoo.json"].write(b" ")
    with pytest.raises(ConfigError, match="holds another zoo than"):
        plan(ADDRESS)


def test_shards_are_fetched_when_they_are_read(remote, zoo_folder, monkeypatch, spec):
    there = Zoo.open(zoo_folder)
    zoo = Zoo.open(Path(remote))
    assert (zoo.place, zoo.folder.name) == (ADDRESS, "zoo")
    assert list((zoo.folder / "shards").glob("*")) == [] if (zoo.folder / "shards").exists() else True
    zoo.check(spec)
    assert zoo.entries == there.entries
    assert torch.equal(zoo.flat(2), there.flat(2))
    assert [path.name for path in (zoo.folder / "shards").glob("shard*")] == ["shard-00001.safetensors"]
    zoo.verify()
    assert len(list((zoo.folder / "shards").glob("shard*"))) == 3
    for name in FILES[2:5]:  # what is in the cache is not fetched again
        del MemoryFileSystem.store[f"/bucket/zoo/{name}"]
    again = Zoo.open(remote)
    assert all(torch.equal(again.flat(i), there.flat(i)) for i in range(5))


def test_narrower_generic_models_are_fetched_when_they_are_read(wide_plan, wide_zoo):
    build_zoo(wide_plan(ADDRESS))
    assert {name for name in stored() if name.startswith("generic")} == {
        path.name for path in wide_zoo.glob("generic*")
    }
    zoo, spec = Zoo.open(ADDRESS), ParameterSpec(cnn_2layer.at_width(0.5))
    assert [path.name for path in zoo.folder.glob("generic*")] == ["generic.safetensors"]
    narrow = zoo.narrowed(spec)
    assert (narrow.place, {path.name for path in zoo.folder.glob("generic-*")}) == (
        ADDRESS,
        {"generic-0.5.safetensors"},
    )
    there = Zoo.open(wide_zoo).narrowed(spec)
    assert all(torch.equal(narrow.generic[name], there.generic[name]) for name in there.generic)
    del MemoryFileSystem.store["/bucket/zoo/generic-1.safetensors"]
    with pytest.raises(CheckpointError, match=r"lacks generic-1\.safetensors"):
        zoo.verify()


def test_a_zoo_that_is_built_anew_is_another_one_in_the_cache(remote, zoo_folder, tmp_path):
    before = Zoo.open(remote)
    before.flat(0)
    copy = shutil.copytree(zoo_folder, tmp_path / "copy")
    rewrite(copy / "zoo.json", lambda manifest: manifest | {"figures": {"a": 1}})
    RemoteFolder(ADDRESS).send(copy / "zoo.json", "zoo.json")
    after = Zoo.open(remote)
    assert after.figures == {"a": 1}
    assert after.folder != before.folder


DAMAGE = {
    "no zoo.json": ("zoo.json", None, r"'memory://bucket/zoo' is not a zoo"),
    "half a zoo.json": ("zoo.json", 50, r"'memory://bucket/zoo/zoo\.json' cannot be read as JSON"),
    "no index": ("index.json", None, r"The zoo 'memory://bucket/zoo' is not finished"),
    "half an index": ("index.json", 50, r"'memory://bucket/zoo/index\.json' cannot be read as JSON"),
    "no generic model": ("generic.safetensors", None, r"'memory://bucket/zoo' lacks generic\.safetensors"),
    "half a generic model": ("generic.safetensors", 50, r"'memory://bucket/zoo/generic.* is not complete: 50 bytes"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_sentence_with_the_address(remote, zoo_folder, name):
    file, left, words = DAMAGE[name]
    if left is None:
        del MemoryFileSystem.store[f"/bucket/zoo/{file}"]
    else:
        MemoryFileSystem.store[f"/bucket/zoo/{file}"].truncate(left)
    with pytest.raises(CheckpointError, match=words):
        Zoo.open(remote)
    RemoteFolder(ADDRESS).send(zoo_folder / file, file)
    Zoo.open(remote).flat(0)  # nothing damaged stays in the cache


def test_a_damaged_or_missing_shard_is_refused_before_it_is_used(remote, zoo_folder):
    zoo = Zoo.open(remote)
    first, second = (MemoryFileSystem.store[f"/bucket/zoo/{name}"] for name in FILES[2:4])
    first.seek(-3, 2)
    first.write(b"abc")
    second.truncate(1000)
    del MemoryFileSystem.store[f"/bucket/zoo/{FILES[4]}"]
    for model, words in (
        (0, "was altered or is not complete"),
        (2, "1,000 bytes arrived"),
        (4, "lacks shards/shard-00002"),
    ):
        with pytest.raises(CheckpointError, match=words):
            zoo.flat(model)
    RemoteFolder(ADDRESS).send(zoo_folder / FILES[3], FILES[3])
    assert zoo.flat(2).numel()


def test_names_in_an_index_cannot_leave_the_folder(remote, zoo_folder, tmp_path):
    copy = shutil.copytree(zoo_folder, tmp_path / "copy")
    rewrite(copy / "index.json", lambda index: index["shards"][0].__setitem__("file", "../../../../etc/passwd"))
    RemoteFolder(ADDRESS).send(copy / "index.json", "index.json")
    with pytest.raises(CheckpointError, match="has another file"):
        Zoo.open(remote)
    assert {working_folder(f"memory://a/{name}").name for name in ("..", ".", "a b")} == {"zoo", "a", "a_b"}


def test_a_missing_package_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(DependencyError, match="needs the package fsspec"):
        Zoo.open("s3://bucket/zoo")


def test_the_command_line_takes_addresses(remote, capsys):
    from tina_framework.cli.__main__ import main

    with pytest.raises(SystemExit, match="0"):
        main(["zoo", "info", ADDRESS, "--json"])
    assert json.loads(capsys.readouterr().out)["models"] == 5
