"""Building a zoo: first the generic model, then the p-Models, shard by shard.

A stopped build continues when it is called again.

Processes started by ``accelerate launch`` share the work without communication. Shard s belongs to process s modulo
the number of processes. The first process trains the generic model and writes the index; the others wait for its
files. Inside one process, models are trained by `workers` CPU processes, or together on a GPU.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.digest import with_digest
from tina_framework.storage.files import read_safetensors, write_json, write_safetensors
from tina_framework.targets.accuracy import accuracy, logits
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.targets.trunk import trunk_record
from tina_framework.zoo import build_process
from tina_framework.zoo.generic_training import train_generic
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import network, train_models
from tina_framework.zoo.store import (
    FORMAT,
    VERSION,
    Zoo,
    ZooEntry,
    read_manifest,
    read_model,
    shard_entries,
    write_index,
    write_model,
    write_shard,
)
from tina_framework.zoo.subset import without_classes
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["build_zoo", "sample_tasks"]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total).

The stages are ``features`` and ``mirrored features`` (counted in images; only with a frozen trunk), ``generic`` (counted
in epochs) and ``models``."""

# Networks this small do not fill a GPU alone; 64 of them train together in little more time than one.
_GPU_BATCH = 64

GENERIC_SETTINGS = ("architecture", "dataset", "train_split", "held_out_classes", "seed", "generic")
"""The settings on which the generic model depends."""


def sample_tasks(config: ZooConfig, dataset: Dataset) -> list[Task]:
    """Return the tasks of a zoo: all different, none reserved for evaluation. p-Model i is trained on task i."""
    if not config.num_models:
        return []
    sampler = TaskSampler(
        dataset.class_names,
        dataset.superclasses,
        partition="train",
        schemes=config.schemes,
        class_counts=config.class_counts,
        seed=config.seed,
    )
    return sampler.tasks(config.num_models)


def build_zoo(
    folder: Path,
    config: ZooConfig,
    spec: ParameterSpec,
    dataset: Dataset,
    worker_setup: build_process.ProcessSetup,
    *,
    device: torch.device | str = "cpu",
    workers: int = 1,
    generic_from: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> int:
    """Build the zoo, or what is missing of it.

    Args:
        folder: the folder of the zoo; created if needed.
        config: the settings of the zoo. A folder that holds a zoo of other settings is refused.
        spec: the parameters of the architecture named in `config`.
        dataset: the data set named in `config`.
        worker_setup: how a CPU process finds architecture and data set again.
        device: where to train.
        workers: number of CPU processes (ignored on a GPU).
        generic_from: a zoo whose generic model is copied instead of training one. It must have been made with the same
            settings.
        progress: called after every epoch of the generic model and every p-Model.

    Returns:
        How many p-Models the index lists.

    Raises:
        ConfigError: the folder holds a zoo of other settings, or a recipe has a value out of range.
        CheckpointError: the folder's ``zoo.json`` is damaged.
    """
    for recipe in (config.generic, config.model):
        SGDRecipe(**recipe)  # raises for values out of range now, not after hours of training
    dataset = without_classes(dataset, config.held_out_classes)
    # Set by `accelerate launch`; a single process is number 0 of 1.
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    _check_folder(folder, config)
    tasks = sample_tasks(config, dataset)
    mine = [shard for shard in range(config.num_shards) if shard % world == rank]
    if rank == 0 and not (folder / "zoo.json").is_file() and generic_from is not None:
        _take_generic(folder, config, spec, dataset, generic_from)
    elif rank == 0 and not (folder / "zoo.json").is_file():
        _generic_stage(folder, config, spec, dataset, device, progress)
    _wait_for(lambda: (folder / "zoo.json").is_file())
    generic = read_safetensors(folder / "generic.safetensors")

    pending = {shard: _pending(folder, config, shard) for shard in mine if shard_entries(folder, shard) is None}
    total = sum(len(config.shard_ids(shard)) for shard in mine)
    done = total - sum(len(ids) for ids in pending.values())
    progress("models", done, total)
    queue = [(i, config.model_seed(i), tasks[i]) for ids in pending.values() for i in ids]
    for shard in [s for s, ids in pending.items() if not ids]:
        _finish_shard(folder, config, shard)
        del pending[shard]
    for model_id in _trained(
        folder, config, spec, dataset, worker_setup, generic, queue, torch.device(device), workers
    ):
        done += 1
        progress("models", done, total)
        shard = model_id // config.shard_size
        pending[shard].remove(model_id)
        if not pending[shard]:
            _finish_shard(folder, config, shard)
    if rank != 0:
        return total
    _wait_for(lambda: all(shard_entries(folder, s) is not None for s in range(config.num_shards)))
    return write_index(folder, config)


def _check_folder(folder: Path, config: ZooConfig) -> None:
    if not (folder / "zoo.json").is_file():
        return
    manifest = read_manifest(folder)
    if "config" not in manifest:
        raise CheckpointError(f"'{folder / 'zoo.json'}' lacks config; choose another folder, or remove this one.")
    old = ZooConfig.from_json(manifest["config"])
    odd = old.differences(config)
    if odd or old.shard_size != config.shard_size:
        names = ", ".join(odd or ["shard_size"])
        raise ConfigError(
            f"'{folder}' holds a zoo of other settings ({names}); "
            "use the same settings to continue it, or choose another folder."
        )


def _wait_for(ready: Callable[[], bool]) -> None:
    while not ready():
        time.sleep(0.5)


def _generic_stage(
    folder: Path,
    config: ZooConfig,
    spec: ParameterSpec,
    dataset: Dataset,
    device: torch.device | str,
    progress: Progress,
) -> None:
    """Train and measure the generic model, then write ``zoo.json``, for which the other processes wait."""
    recipe = SGDRecipe(**config.generic)
    train = ImageBank(dataset, config.train_split, spec, device, progress)
    partial = folder / "generic.partial.safetensors"
    epochs = int(-(-recipe.epochs // 1))
    settings = {name: config.to_json()[name] for name in GENERIC_SETTINGS}
    # A state of other settings must not be continued; the identity tells them apart.
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    state = train_generic(
        spec, train, recipe, config.seed, partial, identity, lambda epoch, _: progress("generic", epoch, epochs)
    )
    write_safetensors(folder / "generic.safetensors", state)
    figures = generic_figures(spec, state, ImageBank(dataset, "validation", spec, device))
    _declare(folder, config, spec, dataset, {"generic": {"validation": figures}})
    partial.unlink(missing_ok=True)


def _take_generic(folder: Path, config: ZooConfig, spec: ParameterSpec, dataset: Dataset, source: Path) -> None:
    zoo = Zoo.open(source)
    zoo.check(spec)
    odd = [name for name in GENERIC_SETTINGS if name in zoo.config.differences(config)]
    if odd or zoo.class_names != tuple(dataset.class_names):
        raise ConfigError(
            f"The generic model of '{source}' was made with other settings ({', '.join(odd) or 'classes'}); "
            "use the same ones, or leave out --generic to train one."
        )
    write_safetensors(folder / "generic.safetensors", zoo.generic)
    _declare(folder, config, spec, dataset, {"generic": zoo.figures["generic"]})


def _declare(folder: Path, config: ZooConfig, spec: ParameterSpec, dataset: Dataset, figures: dict[str, Any]) -> None:
    """Write ``zoo.json``. From then on the folder is a zoo, and other processes may start."""
    manifest: dict[str, Any] = {"format": FORMAT, "version": VERSION, "config": config.to_json()}
    trunk = trunk_record(spec.architecture)
    if trunk is not None:
        manifest["trunk"] = trunk
    manifest |= {"class_names": list(dataset.class_names), "figures": figures}
    write_json(folder / "zoo.json", with_digest(manifest, "zoo.json"))


def generic_figures(spec: ParameterSpec, state: dict[str, Tensor], bank: ImageBank) -> dict[str, float]:
    """Measure the generic model on a bank's images. All figures are fractions of 1.

    Returns:
        ``accuracy`` over all classes, and ``selection_10_of_all``: the mean accuracy of selection on 100 random tasks
        of ten classes. Selection chooses among the outputs of the task's classes only.
    """
    count = len(bank.class_names)
    flat = spec.flatten(state, count).to(bank.images.device)
    module = network(spec, flat, count)
    scores = logits(module, bank.images)
    draws = torch.Generator().manual_seed(0)
    selection = []
    for _ in range(100):
        classes = torch.randperm(count, generator=draws)[: min(10, count)].to(bank.labels.device)
        inside = torch.isin(bank.labels, classes)
        guess = classes[scores[inside][:, classes].argmax(dim=1)]
        selection.append(float((guess == bank.labels[inside]).float().mean()))
    return {
        "accuracy": accuracy(module, bank.images, bank.labels),
        "selection_10_of_all": sum(selection) / len(selection),
    }


def _pending(folder: Path, config: ZooConfig, shard: int) -> list[int]:
    return [i for i in config.shard_ids(shard) if read_model(folder, i) is None]


def _finish_shard(folder: Path, config: ZooConfig, shard: int) -> None:
    models = [read_model(folder, i) for i in config.shard_ids(shard)]
    write_shard(folder, shard, [model for model in models if model is not None])


def _trained(
    folder: Path,
    config: ZooConfig,
    spec: ParameterSpec,
    dataset: Dataset,
    worker_setup: build_process.ProcessSetup,
    generic: dict[str, Tensor],
    queue: Sequence[tuple[int, int, Task]],
    device: torch.device,
    workers: int,
) -> Iterator[int]:
    """Train the queued models, store each, and yield its id as soon as its file is complete."""
    if not queue:
        return
    if device.type == "cpu" and workers > 1:
        # Processes are spawned: a forked child hangs in OpenMP if its parent has used OpenMP before.
        pool = ProcessPoolExecutor(
            min(workers, len(queue)), get_context("spawn"), build_process.start, (worker_setup, folder, config)
        )
        try:
            futures = [pool.submit(build_process.train_one, item) for item in queue]
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return
    train = ImageBank(dataset, config.train_split, spec, device)
    validation = ImageBank(dataset, "validation", spec, device)
    recipe = SGDRecipe(**config.model)
    size = 1 if device.type == "cpu" else _GPU_BATCH
    # Tasks of one class count have tensors of one shape, which train as one batch.
    ordered = sorted(queue, key=lambda item: len(item[2].classes)) if size > 1 else list(queue)
    for first in range(0, len(ordered), size):
        models: list[tuple[ZooEntry, Tensor]] = train_models(
            spec, generic, ordered[first : first + size], train, validation, recipe
        )
        for entry, flat in models:
            write_model(folder, entry, flat)
            yield entry.id
