"""Training p-Models in the CPU processes of the zoo builder: what runs inside such a process."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tina_framework.errors import TinaError, TrainingError
from tina_framework.storage.shared_tensors import SharedTensors
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["SPLITS", "Banks", "Item", "ProcessSetup", "prepare", "run"]

SPLITS = ("train", "validation")
"""Prefixes of the tensors in `Banks`."""

Item = tuple[int, int, Task]
"""Id, seed and task of a p-Model."""


@dataclass(frozen=True)
class ProcessSetup:
    """How a new process finds what the user named.

    Args:
        architecture: registry name of the target architecture.
        plugin_files: files given with ``--plugin``.
    """

    architecture: str
    plugin_files: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Banks:
    """The training and validation images, in memory that all worker processes share.

    Args:
        class_names: the classes of the data set, without those that are held out.
        tensors: those of `ImageBank.contents`, named ``train.images`` and so on.
    """

    class_names: tuple[str, ...]
    tensors: SharedTensors


def run(connection: Connection, setup: ProcessSetup, folder: Path, config: ZooConfig, banks: Banks) -> None:
    """Train the models that the builder names, one after the other, until it closes the connection.

    The process sends ``("ready", None)``, then ``("done", id)`` for every model, or ``("failed", error)`` and ends.
    """
    _attend_to_parent()
    try:
        train_one = prepare(setup, folder, config, banks)
        connection.send(("ready", None))
        while True:
            connection.send(("done", train_one(connection.recv())))
    except (EOFError, BrokenPipeError):
        return  # the builder has ended
    except BaseException as error:
        with contextlib.suppress(OSError):
            connection.send(("failed", _portable(error)))


def _attend_to_parent() -> None:
    """End with the builder, however it ends. Leave signals of the terminal, and standard output, to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # the builder blocked them while it started this process
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)  # files are written atomically, so nothing is lost

        threading.Thread(target=follow, daemon=True).start()
    # What plugins print must not get into the output of `--json`.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(sys.stderr.fileno(), 1)


def _portable(error: BaseException) -> BaseException:
    """Return the error in a form that reaches the builder."""
    text = str(error)
    if isinstance(error, MemoryError) or "not enough memory" in text or "can't allocate memory" in text:
        return TrainingError(
            "The memory is full in a worker process. Everything finished is kept: run the same command again with fewer "
            "--workers."
        )
    # Made anew from plain values: an error of a plugin may be of any class, which need not survive the way.
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, error.strerror, None if error.filename is None else str(error.filename))
    if isinstance(error, TinaError) and type(error).__module__ == TinaError.__module__:
        return type(error)(text)
    return TinaError(f"A worker process failed: {type(error).__name__}: {' '.join(text.split()) or 'no reason given'}.")


def prepare(setup: ProcessSetup, folder: Path, config: ZooConfig, banks: Banks) -> Callable[[Item], int]:
    """Prepare the process: use one thread, map the images, read the generic model.

    Returns:
        A function that trains and stores one p-Model, and returns its id.
    """
    import torch

    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.plugin.discovery import load_plugin_file, registries
    from tina_framework.targets.allocator import keep_freed_memory
    from tina_framework.targets.sgd import SGDRecipe
    from tina_framework.zoo.image_bank import ImageBank
    from tina_framework.zoo.manifest import read_generic_tensors, read_manifest
    from tina_framework.zoo.p_models import train_models
    from tina_framework.zoo.shards import write_model

    # Networks this small do not gain from threads: two processes of one thread are faster than one of two.
    torch.set_num_threads(1)
    keep_freed_memory()  # every step of training allocates the same tensors
    for file in setup.plugin_files:
        load_plugin_file(Path(file))
    spec = ParameterSpec(registries().architectures.create(setup.architecture))
    tensors = banks.tensors.open()
    train, validation = (
        ImageBank.from_contents(
            banks.class_names,
            {name.removeprefix(f"{split}."): t for name, t in tensors.items() if name.startswith(f"{split}.")},
        )
        for split in SPLITS
    )
    generic = read_generic_tensors(folder, read_manifest(folder))
    recipe = SGDRecipe(**config.model)

    def train_one(item: Item) -> int:
        ((entry, flat),) = train_models(spec, generic, [item], train, validation, recipe)
        write_model(folder, entry, flat)
        return entry.id

    return train_one
