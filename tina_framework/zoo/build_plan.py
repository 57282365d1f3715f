"""What to build and how: the arguments that all stages of a build share, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tina_framework.errors import ConfigError
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.dataset import Dataset
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.paths import user_path
from tina_framework.storage.remote import remote_address
from tina_framework.targets.image_shifts import check_shift
from tina_framework.targets.sgd import SGDRecipe, needs_teacher
from tina_framework.zoo.build_folder import check_place
from tina_framework.zoo.build_process import ProcessSetup
from tina_framework.zoo.file_transfer import FileTransfer, NoTransfer
from tina_framework.zoo.manifest import MANIFEST, read_manifest
from tina_framework.zoo.narrower import check_widths
from tina_framework.zoo.recipe import complete_recipe
from tina_framework.zoo.remote import RemoteTransfer, working_folder
from tina_framework.zoo.subset import without_classes
from tina_framework.zoo.task_sampler import sample_tasks
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.teacher import Teacher
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["BuildPlan", "Progress", "check_folder", "plan_build", "plan_by_names"]

_MAX_WORKERS = 1024

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total).

The stages are ``features`` and ``mirrored features`` (counted in images; only with a frozen trunk), ``generic`` (counted
in epochs) and ``models``. If there are generic models of several widths, each is a stage of its own: ``generic@0.5``."""


@dataclass(frozen=True)
class BuildPlan:
    """The arguments of a build. Make one with `plan_build` or `plan_by_names`, which check them.

    Attributes:
        folder: the folder of the zoo.
        config: the settings of the zoo.
        spec: the parameters of the architecture.
        dataset: the data set without the held-out classes.
        tasks: the task of each p-Model, by id.
        worker_setup: how a CPU process finds the architecture again.
        device: where to train.
        workers: number of CPU processes (ignored on a GPU).
        progress: called after every epoch of the generic model and every p-Model.
        transfer: told of finished files, so that they can be kept elsewhere too; see `FileTransfer`.
        teacher: the teacher that the recipes use, or None.
    """

    folder: Path
    config: ZooConfig
    spec: ParameterSpec
    dataset: Dataset
    tasks: list[Task]
    worker_setup: ProcessSetup
    device: torch.device
    workers: int
    progress: Progress
    transfer: FileTransfer
    teacher: Teacher | None = None


def plan_build(
    folder: Path,
    config: ZooConfig,
    spec: ParameterSpec,
    dataset: Dataset,
    worker_setup: ProcessSetup,
    *,
    device: torch.device | str = "cpu",
    workers: int = 1,
    progress: Progress = lambda stage, done, total: None,
    transfer: FileTransfer | None = None,
    teacher: Teacher | None = None,
) -> BuildPlan:
    """Check the arguments of a build, and draw its tasks. Nothing is written.

    Args:
        folder: the folder of the zoo; it need not exist. With the address of a remote folder, such as ``s3://bucket/zoo``,
            the zoo is built in a folder of this machine, and each finished file is sent.
        config: the settings of the zoo. A folder that holds a zoo of other settings is refused.
        spec: the parameters of the architecture named in `config`.
        dataset: the data set named in `config`, with all of its classes.
        worker_setup: how a CPU process finds the architecture again.
        device: where to train.
        workers: number of CPU processes (ignored on a GPU).
        progress: called after every epoch of the generic model and every p-Model.
        transfer: told of finished files; see `FileTransfer`.
        teacher: the teacher whose SHA-256 `config` names.

    Raises:
        ConfigError: the folder holds a zoo of other settings, or something else; or a value is out of range; or the recipes
            need a teacher and there is none; or there is one that they do not use.
        CheckpointError: the folder's ``zoo.json`` was altered.
        LeakageError: the teacher was trained on a held-out class.
    """
    if not 1 <= workers <= _MAX_WORKERS:
        raise ConfigError(f"{workers} worker processes cannot be started; choose 1 to {_MAX_WORKERS}.")
    recipes = (config.generic, config.model, *([config.narrow_recipe] if config.generic_widths else []))
    for values in recipes:
        recipe = SGDRecipe(**values)  # raises for values out of range now, not after hours of training
        check_shift(recipe.image_shift, spec.architecture)
        if recipe.teacher_weight and teacher is None:
            raise ConfigError(needs_teacher(recipe))
    check_widths(spec.architecture, config.generic_widths)
    if teacher is not None:
        if not any(values.get("teacher_weight") for values in recipes):
            raise ConfigError(
                "A teacher was given, but no recipe has a teacher_weight, so nothing would learn from it. "
                "Set teacher_weight in [model] or [generic], or leave out --teacher."
            )
        teacher.check_unseen(config.held_out_classes)
    address = remote_address(folder)
    if address is not None:
        folder = working_folder(address)
        transfer = transfer or RemoteTransfer(address, folder)
    folder, transfer = user_path(folder), transfer or NoTransfer()
    dataset = without_classes(dataset, config.held_out_classes)
    transfer.fetch(folder / MANIFEST)
    check_folder(folder, config, dataset)
    tasks = sample_tasks(config, dataset)
    return BuildPlan(
        folder, config, spec, dataset, tasks, worker_setup, torch.device(device), workers, progress, transfer, teacher
    )


def plan_by_names(
    folder: Path,
    dataset: str,
    recipe: Mapping[str, Any],
    *,
    plugin_files: tuple[str, ...] = (),
    device: torch.device | str = "cpu",
    workers: int = 1,
    progress: Progress = lambda stage, done, total: None,
    transfer: FileTransfer | None = None,
    teacher: Path | None = None,
) -> BuildPlan:
    """Plan a build from registered names, as ``tina zoo build`` does.

    Args:
        folder: the folder of the zoo.
        dataset: registry name of the data set, with its argument: ``arrays:/data/cifar100.npz``.
        recipe: the fields that the user set, from `tina_framework.zoo.recipe.read_recipe`. The others get their defaults.
        plugin_files: files given with ``--plugin``, for worker processes.
        device: as for `plan_build`; so are `workers`, `progress`, `transfer` and the errors.
        teacher: the file of a teacher.
    """
    if recipe.get("teacher"):
        raise ConfigError("The recipe sets 'teacher'. Remove it, and give the teacher's file with --teacher.")
    data = registries().datasets.create(dataset)
    named = recipe.get("architecture", ZooConfig.architecture)
    spec = ParameterSpec(registries().architectures.create(named))
    if "@" in named.partition(":")[0]:  # a width is recorded as the architecture writes it: "@1.50" becomes "@1.5"
        recipe = {**recipe, "architecture": spec.architecture.name}
    taught = None if teacher is None else Teacher.load(teacher)
    values = {**recipe, "dataset": _without_path(dataset), "teacher": "" if taught is None else taught.sha256}
    config = complete_recipe(values, data, spec)
    setup = ProcessSetup(config.architecture, plugin_files)
    return plan_build(
        folder,
        config,
        spec,
        data,
        setup,
        device=device,
        workers=workers,
        progress=progress,
        transfer=transfer,
        teacher=taught,
    )


def _without_path(dataset: str) -> str:
    """``arrays:/some/where/cifar100.npz`` -> ``arrays:cifar100.npz``: a zoo must not record folders of this machine."""
    name, colon, argument = dataset.partition(":")
    return name + colon + Path(argument).name


def check_folder(folder: Path, config: ZooConfig, dataset: Dataset) -> None:
    """Check that a zoo of these settings may be built in a folder. Nothing is changed.

    Raises:
        ConfigError: it holds a zoo of other settings or of other classes, or something else.
        CheckpointError: its ``zoo.json`` was altered.
    """
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
