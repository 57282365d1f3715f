"""Building a zoo: complete, reproducible, resumable without losing or repeating a model, shared between processes."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError, TrainingError
from tina_framework.storage.locks import folder_lock
from tina_framework.storage.temporary import temporary_name
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.shards import read_shard, write_shard
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import sample_tasks


class Cut(Exception):
    """Stands for the power going off."""


def same(one, two):
    assert [e.classes for e in one.entries] == [e.classes for e in two.entries]
    assert all(torch.equal(one.generic[n], two.generic[n]) for n in one.generic)
    return all(torch.equal(one.flat(e.id), two.flat(e.id)) for e in one.entries)


def test_complete(zoo_folder, spec, dataset, config):
    zoo = Zoo.open(zoo_folder)
    zoo.check(spec)
    assert [entry.id for entry in zoo.entries] == [0, 1, 2, 3, 4]
    assert [entry.classes for entry in zoo.entries] == [task.classes for task in sample_tasks(config, dataset)]
    assert all(partition_of(entry.classes) == "train" for entry in zoo.entries)
    assert len({frozenset(entry.classes) for entry in zoo.entries}) == 5
    assert zoo.class_names == dataset.class_names
    for entry in zoo.entries:
        assert zoo.flat(entry.id).shape == (spec.num_parameters(len(entry.classes)),)
        assert 0 <= entry.validation_accuracy <= 1
    names = {path.name for path in zoo_folder.iterdir()}
    assert names == {".lock", "zoo.json", "generic.safetensors", "index.json", "shards"}


@pytest.mark.parametrize(("stage", "after"), [("generic", 1), ("generic", 2), ("models", 1), ("models", 3)])
def test_cut_and_resumed_equals_uninterrupted(tmp_path, build, zoo_folder, stage, after):
    def cut(now, done, total):
        if (now, done) == (stage, after):
            raise Cut

    with pytest.raises(Cut):
        build(tmp_path / "zoo", progress=cut)
    seen = []
    assert build(tmp_path / "zoo", progress=lambda *state: seen.append(state)) == 5
    first = next(done for now, done, _ in seen if now == stage)
    assert first == (after + 1 if stage == "generic" else after)  # nothing is repeated
    assert same(Zoo.open(tmp_path / "zoo"), Zoo.open(zoo_folder))


def test_a_stopped_generic_model_does_not_go_on_under_other_settings(tmp_path, build, config):
    def cut(now, done, total):
        if (now, done) == ("generic", 2):
            raise Cut

    with pytest.raises(Cut):
        build(tmp_path / "zoo", progress=cut)
    other = replace(config, num_models=0, seed=9)
    build(tmp_path / "zoo", settings=other)
    build(tmp_path / "fresh", settings=other)
    one, two = Zoo.open(tmp_path / "zoo"), Zoo.open(tmp_path / "fresh")
    assert all(torch.equal(one.generic[n], two.generic[n]) for n in one.generic)


def test_a_lost_shard_is_rebuilt_alone(tmp_path, build, zoo_folder):
    build(tmp_path / "zoo")
    lost = tmp_path / "zoo" / "shards" / "shard-00001.safetensors"
    lost.unlink()
    seen = []
    build(tmp_path / "zoo", progress=lambda *state: seen.append(state))
    assert seen == [("models", 3, 5), ("models", 4, 5), ("models", 5, 5)]
    assert same(Zoo.open(tmp_path / "zoo"), Zoo.open(zoo_folder))


def test_a_damaged_shard_is_rebuilt_and_never_blessed(tmp_path, build, zoo_folder):
    build(tmp_path / "zoo")
    path = tmp_path / "zoo" / "shards" / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x40
    path.write_bytes(data)
    seen = []
    build(tmp_path / "zoo", progress=lambda *state: seen.append(state))
    assert seen == [("models", 3, 5), ("models", 4, 5), ("models", 5, 5)]
    assert same(Zoo.open(tmp_path / "zoo"), Zoo.open(zoo_folder))


@pytest.mark.parametrize("fault", ["copied", "short", "classes"])
def test_a_misplaced_or_short_shard_is_rebuilt(tmp_path, build, zoo_folder, config, fault):
    folder = tmp_path / "zoo"
    shutil.copytree(zoo_folder, folder)
    models = read_shard(folder, config, 1)
    if fault == "copied":
        shutil.copyfile(folder / "shards" / "shard-00000.safetensors", folder / "shards" / "shard-00001.safetensors")
    elif fault == "short":
        write_shard(folder, 1, models[:1])
    else:
        write_shard(folder, 1, [(replace(entry, classes=entry.classes[::-1]), flat) for entry, flat in models])
    seen = []
    build(folder, progress=lambda *state: seen.append(state))
    assert seen == [("models", 3, 5), ("models", 4, 5), ("models", 5, 5)]
    assert contents(folder) == contents(zoo_folder)


def contents(folder):
    files = (path for path in folder.rglob("*") if path.name != ".lock")
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in files}


def test_unfinished_files_that_were_altered_are_made_again(tmp_path, build, zoo_folder):
    def cut(now, done, total):
        if (now, done) == ("models", 1):
            raise Cut

    folder = tmp_path / "zoo"
    with pytest.raises(Cut):
        build(folder, progress=cut)
    path = folder / "models" / "000000.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    temporary_name(folder / "models" / "000001.safetensors").touch()
    (folder / "generic.partial.safetensors").touch()
    build(folder)
    assert contents(folder) == contents(zoo_folder)


def test_an_altered_generic_model_is_never_built_on(tmp_path, build, zoo_folder):
    folder = tmp_path / "zoo"
    shutil.copytree(zoo_folder, folder)
    shutil.rmtree(folder / "shards")
    path = folder / "generic.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"was altered .*zoo\.json"):
        build(folder)


def test_other_folders_and_numbers_are_refused_before_work(tmp_path, build):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="is not a zoo; nothing was changed"):
        build(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]
    for options in ({"wait": -1.0}, {"partner_timeout": float("nan")}):
        with pytest.raises(ConfigError):
            build(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_a_second_build_ends_with_a_sentence(tmp_path, build):
    with folder_lock(tmp_path / "zoo", "builds a zoo"), pytest.raises(ConfigError, match="is in use: process"):
        build(tmp_path / "zoo")


def test_two_launched_processes_make_disjoint_and_complete_shards(tmp_path, build, monkeypatch, zoo_folder):
    """One after the other here: the generic model and the index belong to process 0, shards to both."""
    folder = tmp_path / "zoo"
    monkeypatch.setenv("WORLD_SIZE", "2")

    def only_my_shards(now, done, total):
        if now == "models" and done == total:
            raise Cut  # process 0 would now wait for process 1

    monkeypatch.setenv("RANK", "0")
    with pytest.raises(Cut):
        build(folder, progress=only_my_shards)
    zero = {int(p.stem) for p in (folder / "models").iterdir()}
    for shard in (folder / "shards").iterdir() if (folder / "shards").exists() else ():
        number = int(shard.stem.rpartition("-")[2])
        zero |= set(range(2 * number, min(5, 2 * number + 2)))
    assert zero == {0, 1, 4}
    monkeypatch.setenv("RANK", "1")
    assert build(folder) == 2
    monkeypatch.setenv("RANK", "0")
    assert build(folder) == 5
    assert same(Zoo.open(folder), Zoo.open(zoo_folder))


def test_another_zoo_is_not_overwritten(tmp_path, build, config):
    build(tmp_path / "zoo")
    before = (tmp_path / "zoo" / "index.json").read_bytes()
    with pytest.raises(ConfigError, match=r"other settings \(seed\)"):
        build(tmp_path / "zoo", settings=replace(config, seed=1))
    assert (tmp_path / "zoo" / "index.json").read_bytes() == before


def test_a_generic_model_is_taken_over_only_if_it_is_the_same(tmp_path, build, config, zoo_folder):
    settings = replace(config, num_models=2)
    stages = []
    build(tmp_path / "two", settings=settings, generic_from=zoo_folder, progress=lambda s, *_: stages.append(s))
    assert set(stages) == {"models"}
    zoo, source = Zoo.open(tmp_path / "two"), Zoo.open(zoo_folder)
    assert all(torch.equal(zoo.flat(i), source.flat(i)) for i in (0, 1))
    with pytest.raises(ConfigError, match=r"other settings \(generic\)"):
        build(tmp_path / "no", settings=replace(settings, generic={"epochs": 1}), generic_from=zoo_folder)
    assert not (tmp_path / "no" / "zoo.json").exists()


@pytest.mark.parametrize("number", [errno.EFBIG, errno.ENOSPC, errno.EIO])
def test_a_failed_write_names_the_zoo(tmp_path, build, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))  # without a file name, as from a file that is open

    monkeypatch.setattr("tina_framework.zoo.generic_stage.train_generic", fail)
    with pytest.raises(TrainingError, match=f"'{tmp_path / 'zoo'}' cannot be written"):
        build(tmp_path / "zoo")
