"""Building a zoo: first the generic model, then the p-Models, shard by shard.

A stopped build continues when it is called again. One build at a time writes into a folder: it holds the folder's lock.

Processes started by ``accelerate launch`` share the work through files; see `launch`. Shard s belongs to process s modulo
the number of processes. The first process trains the generic model and writes the index; the others wait for its
files. Inside one process, models are trained by `workers` CPU processes, or together on a GPU.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, ConfigError, TrainingError
from tina_framework.interfaces.class_names import checked_names, normalize_name
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import check_tensors, write_safetensors
from tina_framework.storage.paths import user_path
from tina_framework.targets.accuracy import accuracy, logits
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.targets.trunk import trunk_record
from tina_framework.zoo.build_folder import PARTIAL_GENERIC, check_place, clean, remove_empty_models
from tina_framework.zoo.build_process import Item, ProcessSetup
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.generic_training import train_generic
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.index import write_index
from tina_framework.zoo.launch import Launch, Partners, sharing
from tina_framework.zoo.manifest import (
    FORMAT,
    GENERIC,
    MANIFEST,
    VERSION,
    read_generic_tensors,
    read_manifest,
    write_manifest,
)
from tina_framework.zoo.p_models import network, train_models
from tina_framework.zoo.shards import model_path, read_model, read_shard, shard_path, write_model, write_shard
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.subset import without_classes
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.worker_pool import train_in_processes
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["PARTNER_SECONDS", "build_zoo", "generic_figures", "sample_tasks"]

PARTNER_SECONDS = 1800.0
"""How long a process of the same launch may show no sign of work."""

_MAX_WORKERS = 1024

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total).

The stages are ``features`` and ``mirrored features`` (counted in images; only with a frozen trunk), ``generic`` (counted
in epochs) and ``models``."""

# Networks this small do not fill a GPU alone; 64 of them train together in little more time than one.
_GPU_BATCH = 64

GENERIC_SETTINGS = ("architecture", "dataset", "train_split", "held_out_classes", "seed", "generic")
"""The settings on which the generic model depends."""


def sample_tasks(config: ZooConfig, dataset: Dataset, *, allow_fewer: bool = False) -> list[Task]:
    """Return the tasks of a zoo: all different, none reserved for evaluation. p-Model i is trained on task i.

    With `allow_fewer`, the tasks that exist are returned where there are fewer than `config.num_models`.
    """
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
    return sampler.tasks(config.num_models, allow_fewer=allow_fewer)


def build_zoo(
    folder: Path,
    config: ZooConfig,
    spec: ParameterSpec,
    dataset: Dataset,
    worker_setup: ProcessSetup,
    *,
    device: torch.device | str = "cpu",
    workers: int = 1,
    generic_from: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
    wait: float = 0.0,
    partner_timeout: float = PARTNER_SECONDS,
    notify: Callable[[str], None] = lambda text: None,
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
        wait: how many seconds to wait for another build in the folder to end.
        partner_timeout: how many seconds another process of the same launch may show no sign of work.
        notify: called with a sentence when this process has to wait.

    Returns:
        How many p-Models the index lists.

    Raises:
        ConfigError: another build uses the folder; it holds a zoo of other settings, or something else; or a recipe has
            a value out of range.
        CheckpointError: the folder's ``zoo.json`` or generic model was altered.
        TrainingError: a worker process died, or a process of the same launch shows no sign of work.
    """
    folder = user_path(folder)
    _check_numbers(workers, wait, partner_timeout)
    for recipe in (config.generic, config.model):
        SGDRecipe(**recipe)  # raises for values out of range now, not after hours of training
    launch = Launch.from_environment()
    dataset = without_classes(dataset, config.held_out_classes)
    _check_folder(folder, config, dataset)
    tasks = sample_tasks(config, dataset)
    build = _Build(folder, config, spec, dataset, worker_setup, tasks, torch.device(device), workers, progress)
    with _naming(folder):
        if launch.rank and not build.pending(mine := build.shards_of(launch)):
            return build.count(mine)  # there is nothing to write, so process 0 is not needed
        with sharing(folder, launch, wait=wait, timeout=partner_timeout, notify=notify) as partners:
            if launch.rank == 0:
                _check_folder(folder, config, dataset)  # another build may have written it while this one waited
                clean(folder)
            try:
                return build.run(launch, partners, generic_from)
            finally:
                if launch.rank == 0:
                    clean(folder)
                    remove_empty_models(folder)


def _check_numbers(workers: int, wait: float, partner_timeout: float) -> None:
    if not 1 <= workers <= _MAX_WORKERS:
        raise ConfigError(f"{workers} worker processes cannot be started; choose 1 to {_MAX_WORKERS}.")
    for name, seconds in (("time to wait", wait), ("time limit for partners", partner_timeout)):
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ConfigError(f"The {name} is {seconds} seconds; give a number from 0 up.")


_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Errors of writing. Such an error has no file name if the file was open already."""


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Name the zoo in errors of the file system, instead of a temporary file inside it."""
    try:
        yield
    except OSError as error:
        inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(folder)
        if not inside and error.errno not in _WRITE_ERRORS:
            raise
        raise TrainingError(
            f"'{folder}' cannot be written ({error.strerror or error}). Everything finished is kept: make it writable or "
            "free some space, and run the same command again."
        ) from error


def _check_folder(folder: Path, config: ZooConfig, dataset: Dataset) -> None:
    check_place(folder)
    if not (folder / MANIFEST).is_file():
        return
    manifest = read_manifest(folder)
    if "dtype" in manifest.values:
        raise ConfigError(f"'{folder}' is an exported copy of a zoo, which cannot be built on; name the original.")
    odd = manifest.config.differences(config)
    if odd or manifest.config.shard_size != config.shard_size:
        names = ", ".join(odd or ["shard_size"])
        raise ConfigError(
            f"'{folder}' holds a zoo of other settings ({names}); "
            "use the same settings to continue it, or choose another folder."
        )
    if manifest.class_names != checked_names(dataset.class_names, f"Data set '{dataset.name}': class_names"):
        raise ConfigError(
            f"'{folder}' holds a zoo of other classes than the data set '{dataset.name}' has, or of another order of them; "
            "use the same data set to continue it, or choose another folder."
        )


class _Build:
    """One call of `build_zoo`: its arguments, checked, and its steps."""

    def __init__(
        self,
        folder: Path,
        config: ZooConfig,
        spec: ParameterSpec,
        dataset: Dataset,
        setup: ProcessSetup,
        tasks: list[Task],
        device: torch.device,
        workers: int,
        progress: Progress,
    ) -> None:
        self.folder, self.config, self.spec, self.dataset = folder, config, spec, dataset
        self.setup, self.tasks, self.device, self.workers, self.progress = setup, tasks, device, workers, progress

    def run(self, launch: Launch, partners: Partners, generic_from: Path | None) -> int:
        folder, config = self.folder, self.config
        manifest_path = folder / MANIFEST
        if launch.rank == 0 and not manifest_path.is_file():
            if generic_from is not None:
                _take_generic(folder, config, self.spec, self.dataset, generic_from)
            else:
                _generic_stage(folder, config, self.spec, self.dataset, self.device, self.progress)
            clean(folder)
        partners.wait(0, manifest_path, manifest_path.is_file)
        if launch.rank:
            _check_folder(folder, config, self.dataset)
        generic = read_generic_tensors(folder, read_manifest(folder))
        shapes = {info.name: info.shape for info in self.spec.parameters(len(self.dataset.class_names))}
        check_tensors(generic, shapes, f"'{folder / GENERIC}'")

        mine = self.shards_of(launch)
        pending = self.pending(mine)
        total = self.count(mine)
        done = total - sum(len(ids) for ids in pending.values())
        self.progress("models", done, total)
        for shard in mine:
            if shard not in pending:  # a build that was killed just after writing the shard
                for model_id in config.shard_ids(shard):
                    model_path(folder, model_id).unlink(missing_ok=True)
            elif not pending[shard]:
                self._finish(shard)
        queue = [(i, config.model_seed(i), self.tasks[i]) for ids in pending.values() for i in ids]
        with contextlib.closing(self._trained(generic, queue)) as trained:
            for model_id in trained:
                partners.check()
                done += 1
                self.progress("models", done, total)
                shard = model_id // config.shard_size
                pending[shard].remove(model_id)
                if not pending[shard]:
                    self._finish(shard)
        if launch.rank:
            return total
        for shard in set(range(config.num_shards)) - set(mine):
            partners.wait(shard % launch.world, shard_path(folder, shard), self._is_there(shard))
        return write_index(folder, config)

    def shards_of(self, launch: Launch) -> list[int]:
        return [shard for shard in range(self.config.num_shards) if shard % launch.world == launch.rank]

    def count(self, shards: Sequence[int]) -> int:
        return sum(len(self.config.shard_ids(shard)) for shard in shards)

    def pending(self, shards: Sequence[int]) -> dict[int, list[int]]:
        """Return the unfinished shards, and which models each still lacks."""
        return {
            shard: [i for i in self.config.shard_ids(shard) if self._model(i) is None]
            for shard in shards
            if not self._is_complete(shard)
        }

    def _fits(self, entry: ZooEntry, flat: Tensor) -> bool:
        """Return whether a stored model is the one that belongs to its id in this zoo."""
        task = self.tasks[entry.id]
        return (
            entry.classes == tuple(normalize_name(name) for name in task.classes)
            and entry.seed == self.config.model_seed(entry.id)
            and flat.shape == (self.spec.num_parameters(len(task.classes)),)
            and flat.is_floating_point()
        )

    def _model(self, model_id: int) -> tuple[ZooEntry, Tensor] | None:
        model = read_model(self.folder, model_id)
        return model if model is not None and self._fits(*model) else None

    def _is_complete(self, shard: int) -> bool:
        try:
            models = read_shard(self.folder, self.config, shard)
        except CheckpointError:
            return False
        return all(self._fits(entry, flat) for entry, flat in models)

    def _is_there(self, shard: int) -> Callable[[], bool]:
        """Return a function that says whether a shard is complete. It reads the file only when it has changed."""
        path, seen = shard_path(self.folder, shard), 0

        def ready() -> bool:
            nonlocal seen
            try:
                changed = path.stat().st_mtime_ns
            except OSError:
                return False
            if changed == seen:
                return False
            seen = changed
            return self._is_complete(shard)

        return ready

    def _finish(self, shard: int) -> None:
        models = [model for i in self.config.shard_ids(shard) if (model := self._model(i)) is not None]
        if len(models) == len(self.config.shard_ids(shard)):
            write_shard(self.folder, shard, models)
        elif not self._is_complete(shard):
            raise TrainingError(
                f"Finished p-Models of shard {shard} vanished from '{self.folder / 'models'}' during the build. "
                "Run the same command again, which trains them again, and let nothing else write into the folder."
            )

    def _trained(self, generic: dict[str, Tensor], queue: Sequence[Item]) -> Generator[int, None, None]:
        """Train the queued models, store each, and yield its id as soon as its file is complete."""
        if not queue:
            return
        if self.device.type == "cpu" and self.workers > 1:
            yield from train_in_processes(self.setup, self.folder, self.config, queue, self.workers)
            return
        train = ImageBank(self.dataset, self.config.train_split, self.spec, self.device)
        validation = ImageBank(self.dataset, "validation", self.spec, self.device)
        recipe = SGDRecipe(**self.config.model)
        size = 1 if self.device.type == "cpu" else _GPU_BATCH
        # Tasks of one class count have tensors of one shape, which train as one batch.
        ordered = sorted(queue, key=lambda item: len(item[2].classes)) if size > 1 else list(queue)
        for first in range(0, len(ordered), size):
            with _one_thread(self.device):
                models = train_models(self.spec, generic, ordered[first : first + size], train, validation, recipe)
            for entry, flat in models:
                write_model(self.folder, entry, flat)
                yield entry.id


@contextlib.contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Use one thread on a CPU, as worker processes do: another number rounds differently, so the zoo would differ."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if device.type == "cpu":
            torch.set_num_threads(before)


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
    # Read before training, so that missing images are reported at once.
    validation = ImageBank(dataset, "validation", spec, device)
    partial = folder / PARTIAL_GENERIC
    epochs = int(-(-recipe.epochs // 1))
    settings = {name: config.to_json()[name] for name in GENERIC_SETTINGS}
    # A state of other settings must not be continued; the identity tells them apart.
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    state = train_generic(
        spec, train, recipe, config.seed, partial, identity, lambda epoch, _: progress("generic", epoch, epochs)
    )
    write_safetensors(folder / GENERIC, state, digest=True)
    figures = generic_figures(spec, state, validation)
    _declare(folder, config, spec, dataset, {"generic": {"validation": figures}})


def _take_generic(folder: Path, config: ZooConfig, spec: ParameterSpec, dataset: Dataset, source: Path) -> None:
    zoo = Zoo.open(source)
    zoo.check(spec)
    odd = [name for name in GENERIC_SETTINGS if name in zoo.config.differences(config)]
    if odd or zoo.class_names != checked_names(dataset.class_names, f"Data set '{dataset.name}': class_names"):
        raise ConfigError(
            f"The generic model of '{source}' was made with other settings ({', '.join(odd) or 'classes'}); "
            "use the same ones, or leave out --generic to train one."
        )
    write_safetensors(folder / GENERIC, zoo.generic, digest=True)
    _declare(folder, config, spec, dataset, {"generic": zoo.figures.get("generic", {})})


def _declare(folder: Path, config: ZooConfig, spec: ParameterSpec, dataset: Dataset, figures: dict[str, Any]) -> None:
    """Write ``zoo.json``. From then on the folder is a zoo, and other processes may start."""
    manifest: dict[str, Any] = {"format": FORMAT, "version": VERSION, "config": config.to_json()}
    trunk = trunk_record(spec.architecture)
    if trunk is not None:
        manifest["trunk"] = trunk
    manifest |= {"class_names": list(dataset.class_names), "figures": figures}
    write_manifest(folder, manifest)


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
    # A class of a single picture has no validation image. Draws of such classes alone would measure nothing.
    present = torch.isin(torch.arange(count), bank.labels.cpu())
    selection = []
    for _ in range(100):
        order = torch.randperm(count, generator=draws)
        classes = order[present[order]][:10].to(bank.labels.device)
        inside = torch.isin(bank.labels, classes)
        guess = classes[scores[inside][:, classes].argmax(dim=1)]
        selection.append(float((guess == bank.labels[inside]).float().mean()))
    return {
        "accuracy": accuracy(module, bank.images, bank.labels),
        "selection_10_of_all": sum(selection) / len(selection),
    }
