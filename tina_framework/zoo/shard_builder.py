"""Building shards: train the p-Models that a shard lacks, and put them together when all are there.

Each finished p-Model is a file in ``models/``, until its shard is written. So a killed build repeats no finished model.

Several processes may build at the same time, even the same shard. Every file appears whole under its name, and a p-Model
follows from its seed and task, so the last writer does not change what the first one wrote.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, TrainingError
from tina_framework.interfaces.class_names import normalize_name
from tina_framework.storage.shared_tensors import shared
from tina_framework.targets.device import runs_batched
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.build_plan import BuildPlan
from tina_framework.zoo.build_process import SPLITS, Banks, Item
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import train_models
from tina_framework.zoo.shards import model_path, read_model, read_shard, shard_path, write_model, write_shard
from tina_framework.zoo.worker_pool import train_in_processes

__all__ = ["ShardBuilder"]

# Networks this small do not fill a GPU alone; 64 of them train together in little more time than one.
_GPU_BATCH = 64


class ShardBuilder:
    """Builds shards of one plan."""

    def __init__(self, plan: BuildPlan) -> None:
        self._plan = plan

    def num_models(self, shards: Sequence[int]) -> int:
        """Return how many p-Models some shards hold."""
        return sum(len(self._plan.config.shard_ids(shard)) for shard in shards)

    def pending(self, shards: Sequence[int]) -> dict[int, list[int]]:
        """Return the unfinished ones of some shards, and which models each still lacks."""
        return {
            shard: [i for i in self._plan.config.shard_ids(shard) if self._model(i) is None]
            for shard in shards
            if not self.is_complete(shard)
        }

    def is_complete(self, shard: int) -> bool:
        """Return whether the file of a shard is there, unaltered, and holds the models of this zoo. This reads the file."""
        path = shard_path(self._plan.folder, shard)
        self._plan.transfer.fetch(path)
        try:
            models = read_shard(self._plan.folder, self._plan.config, shard)
        except CheckpointError:
            return False
        if not all(self._fits(entry, flat) for entry, flat in models):
            return False
        self._plan.transfer.send(path)
        return True

    def becomes_complete(self, shard: int) -> Callable[[], bool]:
        """Return a function that says whether a shard is complete. It reads the file only when it has changed."""
        path, seen = shard_path(self._plan.folder, shard), 0

        def ready() -> bool:
            nonlocal seen
            try:
                changed = path.stat().st_mtime_ns
            except OSError:
                return False
            if changed == seen:
                return False
            seen = changed
            return self.is_complete(shard)

        return ready

    def build(
        self, pending: dict[int, list[int]], generic: dict[str, Tensor], report: Callable[[], None]
    ) -> Generator[int, None, None]:
        """Finish shards. Close the iterator when it is no longer needed: this ends the worker processes.

        Args:
            pending: the shards, and which models each lacks; see `pending`.
            generic: the generic model.
            report: called after each p-Model.

        Yields:
            The number of each shard that is complete now.

        Raises:
            TrainingError: a worker process died, or finished models vanished.
        """
        lacking = {shard: set(ids) for shard, ids in pending.items()}
        for shard in [shard for shard, ids in lacking.items() if not ids]:
            self._finish(shard)
            yield shard
        config = self._plan.config
        queue = [(i, config.model_seed(i), self._plan.tasks[i]) for ids in pending.values() for i in ids]
        with contextlib.closing(self._trained(generic, queue)) as trained:
            for model_id in trained:
                report()
                shard = model_id // config.shard_size
                lacking[shard].remove(model_id)
                if not lacking[shard]:
                    self._finish(shard)
                    yield shard

    def remove_models(self, shards: Sequence[int]) -> None:
        """Remove single models of complete shards: a build that was killed just after writing a shard leaves them."""
        if not (self._plan.folder / "models").is_dir():  # trying thousands of names is slow over a network
            return
        for shard in shards:
            for model_id in self._plan.config.shard_ids(shard):
                model_path(self._plan.folder, model_id).unlink(missing_ok=True)

    def _fits(self, entry: ZooEntry, flat: Tensor) -> bool:
        """Return whether a stored model is the one that belongs to its id in this zoo."""
        task = self._plan.tasks[entry.id]
        return (
            entry.classes == tuple(normalize_name(name) for name in task.classes)
            and entry.seed == self._plan.config.model_seed(entry.id)
            and flat.shape == (self._plan.spec.num_parameters(len(task.classes)),)
            and flat.is_floating_point()
        )

    def _model(self, model_id: int) -> tuple[ZooEntry, Tensor] | None:
        model = read_model(self._plan.folder, model_id)
        return model if model is not None and self._fits(*model) else None

    def _finish(self, shard: int) -> None:
        """Write a shard from its single models, and remove these."""
        ids = self._plan.config.shard_ids(shard)
        models = [model for i in ids if (model := self._model(i)) is not None]
        if len(models) == len(ids):
            write_shard(self._plan.folder, shard, models)
            self._plan.transfer.send(shard_path(self._plan.folder, shard))
            return
        # Another process may have finished the same shard, and removed the models that were put into it.
        if not self.is_complete(shard):
            raise TrainingError(
                f"Finished p-Models of shard {shard} vanished from '{self._plan.folder / 'models'}' during the build. "
                "Run the same command again, which trains them again, and let nothing else write into the folder."
            )
        self.remove_models([shard])

    def _trained(self, generic: dict[str, Tensor], queue: Sequence[Item]) -> Generator[int, None, None]:
        """Train the queued models, store each, and yield its id as soon as its file is complete."""
        if not queue:
            return
        plan = self._plan
        if plan.device.type == "cpu" and plan.workers > 1:
            with _shared_banks(plan) as banks:
                yield from train_in_processes(plan.worker_setup, plan.folder, plan.config, banks, queue, plan.workers)
            return
        train = ImageBank(plan.dataset, plan.config.train_split, plan.spec, plan.device, teacher=plan.teacher)
        validation = ImageBank(plan.dataset, "validation", plan.spec, plan.device)
        recipe = SGDRecipe(**plan.config.model)
        size = _GPU_BATCH if runs_batched(plan.device) else 1
        # Tasks of one class count have tensors of one shape, which train as one batch.
        ordered = sorted(queue, key=lambda item: len(item[2].classes)) if size > 1 else list(queue)
        for first in range(0, len(ordered), size):
            with _one_thread(plan.device):
                models = train_models(plan.spec, generic, ordered[first : first + size], train, validation, recipe)
            for entry, flat in models:
                write_model(plan.folder, entry, flat)
                yield entry.id


@contextlib.contextmanager
def _shared_banks(plan: BuildPlan) -> Iterator[Banks]:
    """Prepare the images once, and yield where they lie for all worker processes."""
    tensors = {
        f"{name}.{part}": tensor
        for name, split in zip(SPLITS, (plan.config.train_split, "validation"), strict=True)
        for part, tensor in ImageBank(
            plan.dataset, split, plan.spec, teacher=None if split == "validation" else plan.teacher
        )
        .contents()
        .items()
    }
    with shared(tensors) as place:
        del tensors  # the workers read the file
        yield Banks(tuple(plan.dataset.class_names), place)


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
