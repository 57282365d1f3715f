"""The CPU processes of the zoo builder train the same models as the builder itself."""

from __future__ import annotations

import errno
import multiprocessing

import pytest
import torch

from tina_framework.errors import ConfigError, PluginError, TinaError
from tina_framework.storage.shared_tensors import shared
from tina_framework.zoo.build_process import SPLITS, Banks, ProcessSetup, _portable, prepare
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.shards import read_model
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task


def test_a_prepared_process_trains_and_stores_one_model(tmp_path, zoo_folder, dataset, spec):
    for name in ("generic.safetensors", "zoo.json"):
        (tmp_path / name).write_bytes((zoo_folder / name).read_bytes())
    zoo = Zoo.open(zoo_folder)
    splits = {split: ImageBank(dataset, split, spec).contents() for split in SPLITS}
    tensors = {f"{split}.{name}": t for split, contents in splits.items() for name, t in contents.items()}
    threads = torch.get_num_threads()
    try:
        with shared(tensors) as place:
            banks = Banks(tuple(dataset.class_names), place)
            train_one = prepare(ProcessSetup("cnn-2layer"), tmp_path, zoo.config, banks)
        task = Task(zoo.entries[1].classes)
        assert train_one((7, zoo.entries[1].seed, task)) == 7  # the file of the images is gone, but mapped
    finally:
        torch.set_num_threads(threads)
    entry, flat = read_model(tmp_path, 7)
    assert entry.classes == task.classes
    assert torch.equal(flat, zoo.flat(1))


@pytest.mark.slow
def test_worker_processes_give_the_same_models(tmp_path, config, spec):
    """Spawned processes map the images that the builder prepared."""
    from tina_framework.builtins.datasets.shapes import shapes
    from tina_framework.zoo.build_plan import plan_build
    from tina_framework.zoo.builder import build_zoo

    dataset = shapes("12")
    setup = ProcessSetup("cnn-2layer")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers do: another number of threads rounds differently
    try:
        build_zoo(plan_build(tmp_path / "one", config, spec, dataset, setup, workers=1))
        build_zoo(plan_build(tmp_path / "two", config, spec, dataset, setup, workers=2))
    finally:
        torch.set_num_threads(threads)
    one, two = Zoo.open(tmp_path / "one"), Zoo.open(tmp_path / "two")
    assert one.entries == two.entries
    assert all(torch.equal(one.generic[n], two.generic[n]) for n in one.generic)
    assert all(torch.equal(one.flat(e.id), two.flat(e.id)) for e in one.entries)


class _OfAPlugin(PluginError):
    """An error that cannot be made from its message alone, as plugins may have them."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ConfigError("no such class"), ConfigError, "no such class"),
        (OSError(errno.ENOSPC, "No space left", "/zoo/x"), OSError, "[Errno 28] No space left: '/zoo/x'"),
        (_OfAPlugin("bad", "data"), TinaError, "A worker process failed: _OfAPlugin: bad data."),
        (KeyError("apple"), TinaError, "A worker process failed: KeyError: 'apple'."),
        (MemoryError(), TinaError, "The memory is full in a worker process"),
    ],
)
def test_errors_reach_the_builder(error: Exception, kind: type[Exception], text: str) -> None:
    here, there = multiprocessing.Pipe()
    there.send(_portable(error))
    arrived = here.recv()
    assert isinstance(arrived, kind)
    assert str(arrived).startswith(text)
