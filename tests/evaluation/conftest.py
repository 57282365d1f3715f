"""A small data set (twelve classes of noise, each around its own colour), a zoo of random p-Models, and a request of the prompt suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import TOY_CLASSES, ToyEncoder
from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.evaluation.suite.prompt_measurer import SuiteRequest
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages
from tina_framework.interfaces.method import Context
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import write_manifest
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.shards import write_shard
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.zoo_config import ZooConfig

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")
# All of the train partition, as a zoo's tasks are. The class "lion" is in none.
ZOO_TASKS = (("ant", "cat", "eel"), ("dog", "ant", "gnu"), ("fox", "hen", "kite"), ("ibis", "jay", "fox"))


def _pictures(per_class: int, seed: int) -> tuple[Any, Any]:
    draws = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    colours = np.random.default_rng(0).integers(40, 215, size=(len(CLASSES), 1, 1, 3))
    noise = draws.integers(-40, 40, size=(len(labels), 32, 32, 3))
    return np.clip(colours[labels] + noise, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Per class ten training images (one of them for validation) and five test images."""
    path = tmp_path_factory.mktemp("data") / "toys.npz"
    train_images, train_labels = _pictures(10, seed=1)
    test_images, test_labels = _pictures(5, seed=2)
    np.savez(
        path,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=np.array(CLASSES),
    )
    return path


@pytest.fixture(scope="session")
def dataset(data_file: Path) -> Any:
    return arrays(data_file)


@pytest.fixture(scope="session")
def spec() -> ParameterSpec:
    return ParameterSpec(cnn_2layer)


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory, spec: ParameterSpec) -> Path:
    """A zoo of random networks, kept like a real one."""
    folder = tmp_path_factory.mktemp("zoos") / "toy-zoo"
    assert all(partition_of(classes) == "train" for classes in ZOO_TASKS)
    draws = torch.Generator().manual_seed(3)
    config = ZooConfig(
        dataset="arrays",
        num_models=len(ZOO_TASKS),
        class_counts={3: 1.0},
        model={"epochs": 2, "batch_size": 9, "lr": 0.01, "precision": "fp32"},
        shard_size=3,
    )
    shapes = {info.name: info.shape for info in spec.parameters(len(CLASSES))}
    generic = {name: 0.3 * torch.randn(shape, generator=draws) for name, shape in shapes.items()}
    write_safetensors(folder / "generic.safetensors", generic)
    manifest = {"format": "tina-zoo", "version": 1, "config": config.to_json(), "class_names": list(CLASSES)}
    write_manifest(folder, {**manifest, "figures": {}})
    models = [
        (ZooEntry(i, classes, 0, 0.5, 0.4), 0.3 * torch.randn(spec.num_parameters(3), generator=draws))
        for i, classes in enumerate(ZOO_TASKS)
    ]
    write_shard(folder, 0, models[:3])
    write_shard(folder, 1, models[3:])
    write_index(folder, config)
    return folder


@pytest.fixture(scope="session")
def zoo(zoo_folder: Path) -> Zoo:
    return Zoo.open(zoo_folder)


@pytest.fixture
def context(tiny_generator: Any, dataset: Any, zoo: Zoo) -> Context:
    """Everything there: a generator, a generic model and a zoo."""
    generic = GenericModel(zoo.generic, zoo.class_names, "a toy")
    return Context(generator=tiny_generator, dataset=dataset, generic=generic, zoo=zoo)


@pytest.fixture(scope="session")
def task_sets() -> dict[str, list[tuple[str, ...]]]:
    """partition -> class sets of three, in the order they are found."""
    found: dict[str, list[tuple[str, ...]]] = {"train": [], "validation": [], "test": []}
    for a in range(len(CLASSES)):
        for b in range(a):
            for c in range(b):
                classes = (CLASSES[a], CLASSES[b], CLASSES[c])
                found[partition_of(classes)].append(classes)
    return found


@pytest.fixture
def tasks(task_sets: dict[str, list[tuple[str, ...]]]) -> list[Task]:
    """Six unseen combinations and the zoo's own four tasks, in another order of their classes."""
    unseen = [Task(classes, "unseen-combination") for classes in task_sets["test"][:6]]
    return unseen + [Task(classes[::-1], "seen") for classes in ZOO_TASKS]


SUITE_CLASSES = (*TOY_CLASSES, "yak", "zebu")
"""The toy classes, and two that the generator was not trained on."""


class SeeingToy(ToyEncoder):
    """A picture's first pixel says which class it shows, roughly."""

    name = "seeing-toy"

    def encode_images(self, images: list[Any]) -> Any:
        names = [SUITE_CLASSES[np.asarray(image)[0, 0, 0]] for image in images]
        return self.encode_text(names) + np.float32(0.3)


@pytest.fixture(scope="session")
def suite_dataset() -> Any:
    draws = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(SUITE_CLASSES)), 60)
    images = draws.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = labels
    part = LabelledImages(images, labels)
    few = LabelledImages(images[::12], labels[::12])
    groups = tuple(i // 4 for i in range(len(SUITE_CLASSES)))
    return ArrayDataset("noise", SUITE_CLASSES, {"train": part, "validation": part, "test": few}, groups)


@pytest.fixture
def suite_request(tiny_folder: Path, suite_dataset: Any) -> Any:
    if "seeing-toy" not in registries().encoders:
        registries().encoders.add("seeing-toy", SeeingToy)

    def make(**settings: Any) -> SuiteRequest:
        return SuiteRequest(str(tiny_folder), suite_dataset, "seeing-toy", num_tasks=3, num_classes=5, **settings)

    return make
