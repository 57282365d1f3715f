"""The stages of a build: each is done once, none waits, and what is missing is named."""

from __future__ import annotations

import errno
import os
import shutil
import threading

import pytest

from tina_framework.errors import CheckpointError, ConfigError, TrainingError
from tina_framework.storage.locks import folder_lock
from tina_framework.zoo.stages import build_generic, build_index, build_models


class Cut(Exception):
    """Stands for the power going off."""


def contents(folder):
    files = (path for path in folder.rglob("*") if path.name != ".lock")
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in files}


@pytest.fixture
def generic_only(tmp_path, zoo_folder):
    """A folder after the first stage."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    for name in ("zoo.json", "generic.safetensors"):
        shutil.copyfile(zoo_folder / name, folder / name)
    return folder


def test_the_stages_give_the_zoo_of_one_call(tmp_path, plan, zoo_folder):
    folder = tmp_path / "zoo"
    build_generic(plan(folder))
    assert not (folder / "models").exists()
    assert [build_models(plan(folder), shards) for shards in ([2], [0, 1])] == [1, 4]
    assert build_index(plan(folder)) == 5
    assert contents(folder) == contents(zoo_folder)


def test_finished_work_is_skipped(tmp_path, plan, zoo_folder):
    folder = tmp_path / "zoo"
    shutil.copytree(zoo_folder, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    seen = []
    with folder_lock(folder, "builds a zoo"):  # finished stages need no lock
        build_generic(plan(folder, progress=lambda *state: seen.append(state)))
        assert build_models(plan(folder, progress=lambda *state: seen.append(state)), [0, 1, 2]) == 0
        assert build_index(plan(folder)) == 5
    assert seen == [("models", 5, 5)]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == before
    assert contents(folder) == contents(zoo_folder)


def test_the_order_of_the_stages_is_a_sentence(tmp_path, plan, generic_only):
    for stage in (lambda planned: build_models(planned, [0]), build_index):
        with pytest.raises(ConfigError, match=r"no generic model yet\. Run `tina zoo build --stage generic`"):
            stage(plan(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    with pytest.raises(
        ConfigError, match=r"^Shards 0 to 2 of 3 are missing or damaged in .*--shards 0:3` with the same options\.$"
    ):
        build_index(plan(generic_only))
    build_models(plan(generic_only), [1])
    with pytest.raises(ConfigError, match=r"^Shards 0 and 2 of 3 .* --shards 0` .* and so on for the others\.$"):
        build_index(plan(generic_only))
    assert not (generic_only / "index.json").exists()
    with pytest.raises(ConfigError, match="There is no shard 3: the zoo has 3 shards"):
        build_models(plan(generic_only), [3])


def test_a_second_generic_stage_is_refused_or_waits(tmp_path, plan):
    folder = tmp_path / "zoo"
    with folder_lock(folder, "builds a zoo"):
        with pytest.raises(ConfigError, match="is in use: process"):
            build_generic(plan(folder))
        done = threading.Thread(target=lambda: build_generic(plan(folder), wait=60))
        done.start()
    done.join()
    assert (folder / "zoo.json").is_file()


def test_an_altered_generic_model_is_refused_by_every_stage(plan, generic_only):
    path = generic_only / "generic.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for stage in (build_generic, lambda planned: build_models(planned, [0]), build_index):
        with pytest.raises(CheckpointError, match=r"was altered .*zoo\.json"):
            stage(plan(generic_only))


def test_a_damaged_shard_is_named_and_built_again(tmp_path, plan, zoo_folder):
    folder = tmp_path / "zoo"
    shutil.copytree(zoo_folder, folder)
    path = folder / "shards" / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"^Shard 1 of 3 is missing or damaged"):
        build_index(plan(folder))
    assert build_models(plan(folder), [1]) == 2
    build_index(plan(folder))
    assert contents(folder) == contents(zoo_folder)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_stopped_shard_goes_on_where_it_was(plan, generic_only, zoo_folder, after):
    def cut(stage, done, total):
        if done == after:
            raise Cut

    with pytest.raises(Cut):
        build_models(plan(generic_only, progress=cut), [0, 1])
    assert build_models(plan(generic_only), [0, 1]) == 4 - after
    build_models(plan(generic_only), [2])
    build_index(plan(generic_only))
    assert contents(generic_only) == contents(zoo_folder)


def test_one_shard_twice_at_the_same_time(plan, generic_only, zoo_folder):
    """Two tasks go through the same shard side by side, so that each finds files of the other."""
    turns, found = threading.Barrier(2, timeout=60), []

    def step(stage, done, total):
        if done:
            turns.wait()

    def work():
        try:
            found.append(build_models(plan(generic_only, progress=step), [0]))
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2, 2]
    assert not (generic_only / "models").exists()
    build_models(plan(generic_only), [1, 2])
    build_index(plan(generic_only))
    assert contents(generic_only) == contents(zoo_folder)


def test_litter_of_killed_tasks_goes_and_that_of_living_ones_stays(tmp_path, plan, zoo_folder):
    from tina_framework.storage.temporary import temporary_file, temporary_name

    folder = tmp_path / "zoo"
    shutil.copytree(zoo_folder, folder)
    (folder / "index.json").unlink()
    dead = temporary_name(folder / "shards" / "shard-00000.safetensors")
    dead.touch()
    with temporary_file(folder / "shards" / "shard-00001.safetensors") as (alive, _):
        build_index(plan(folder))
        assert alive.exists()
    assert not dead.exists()
    assert contents(folder) == contents(zoo_folder)


def test_a_full_disk_is_one_sentence(plan, generic_only, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tina_framework.zoo.shard_builder.write_model", fail)
    with pytest.raises(
        TrainingError, match=r"cannot be written \(No space left on device\)\. Everything finished is kept"
    ):
        build_models(plan(generic_only), [0])
