"""Training p-Models in the CPU processes of the zoo builder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tina_framework.zoo.tasks import Task
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["ProcessSetup", "start", "train_one"]


@dataclass(frozen=True)
class ProcessSetup:
    """How a new process finds what the user named.

    Args:
        architecture: registry name of the target architecture.
        dataset: registry name of the data set, with its argument.
        plugin_files: files given with ``--plugin``.
    """

    architecture: str
    dataset: str
    plugin_files: tuple[str, ...] = field(default=())


# Set by `start`. A spawned process cannot be sent the images with every task, so it keeps them here.
_train_one = None


def start(setup: ProcessSetup, folder: Path, config: ZooConfig) -> None:
    """Prepare the process once: use one thread, load the images, read the generic model."""
    global _train_one
    import torch

    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.plugin.discovery import load_plugin_file, registries
    from tina_framework.storage.files import read_safetensors
    from tina_framework.targets.sgd import SGDRecipe
    from tina_framework.zoo.image_bank import ImageBank
    from tina_framework.zoo.p_models import train_models
    from tina_framework.zoo.store import write_model
    from tina_framework.zoo.subset import without_classes

    # Networks this small do not gain from threads: two processes of one thread are faster than one of two.
    torch.set_num_threads(1)
    for file in setup.plugin_files:
        load_plugin_file(Path(file))
    spec = ParameterSpec(registries().architectures.create(setup.architecture))
    dataset = without_classes(registries().datasets.create(setup.dataset), config.held_out_classes)
    train = ImageBank(dataset, config.train_split, spec)
    validation = ImageBank(dataset, "validation", spec)
    generic = read_safetensors(folder / "generic.safetensors")
    recipe = SGDRecipe(**config.model)

    def train_one(item: tuple[int, int, Task]) -> int:
        ((entry, flat),) = train_models(spec, generic, [item], train, validation, recipe)
        write_model(folder, entry, flat)
        return entry.id

    _train_one = train_one


def train_one(item: tuple[int, int, Task]) -> int:
    """Train and store the p-Model (id, seed, task); return its id."""
    assert _train_one is not None, "start() prepares the process"
    return _train_one(item)
