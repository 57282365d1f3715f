"""A tiny run: twelve classes of noisy colour patches, random vectors, a made-up zoo; everything through public files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.config.training import TrainingConfig, load_training_config
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.image_bank import load_split
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import FORMAT, write_manifest
from tina_framework.zoo.shards import write_shard
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.teacher import Teacher
from tina_framework.zoo.zoo_config import ZooConfig

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """Bit-identical results need a fixed number of threads, and the suite's machine has few."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.npz, table.npz and zoo/."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, size=(len(CLASSES), 3))
    labels = np.repeat(np.arange(len(CLASSES)), 20)
    noise = rng.normal(scale=25, size=(len(labels), 32, 32, 3))
    images = np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8)
    np.savez(
        root / "data.npz",
        train_images=images,
        train_labels=labels,
        test_images=images[::10],
        test_labels=labels[::10],
        class_names=np.array(CLASSES),
        fine_to_coarse=np.arange(len(CLASSES)) % 4,
        coarse_names=np.array(["a", "b", "c", "d"]),
    )
    vectors = rng.normal(size=(2, len(CLASSES), 16)).astype(np.float32) + 1.0
    np.savez(root / "table.npz", names=np.array(CLASSES), vectors=vectors, templates=["a {}", "{}"], space="toy")
    _write_zoo(root)
    return root


def _write_zoo(root: Path) -> None:
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generic = spec.architecture.build(len(CLASSES))
    state = {name: p.detach() for name, p in generic.named_parameters()}
    config = ZooConfig(num_models=6, class_counts={4: 1.0, 3: 1.0})
    models = []
    for i, task in enumerate(TaskSampler(CLASSES, class_counts={4: 1.0, 3: 1.0}).tasks(6)):
        rows = torch.tensor([CLASSES.index(name) for name in task.classes])
        flat = spec.flatten(spec.select_classes(state, rows), len(rows))
        flat = flat + 0.02 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(i))
        models.append((ZooEntry(i, task.classes, 0, 0.5, 0.5), flat))
    folder = root / "zoo"
    manifest = {"format": FORMAT, "version": 1, "config": config.to_json(), "class_names": list(CLASSES)}
    write_safetensors(folder / "generic.safetensors", state)
    write_manifest(folder, manifest)
    write_shard(folder, 0, models)
    write_index(folder, config)


def bare_zoo(folder: Path, architecture: str, seed: int = 0, classes: Sequence[str] = CLASSES) -> Path:
    """A zoo without p-Models, with a random generic model."""
    spec = ParameterSpec(registries().architectures.create(architecture))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generic = spec.architecture.build(len(classes))
    config = ZooConfig(architecture=architecture, num_models=0, class_counts={4: 1.0, 3: 1.0})
    manifest = {"format": FORMAT, "version": 1, "config": config.to_json(), "class_names": list(classes)}
    write_safetensors(folder / "generic.safetensors", {name: p.detach() for name, p in generic.named_parameters()})
    write_manifest(folder, manifest)
    write_index(folder, config)
    return folder


@pytest.fixture(scope="session")
def teacher_file(world: Path) -> Path:
    """The table of a teacher that knows all classes and says random things."""
    dataset = registries().datasets.create(f"arrays:{world / 'data.npz'}")
    data = load_split(dataset, "train")
    logits = torch.randn(2, len(data), len(CLASSES), generator=torch.Generator().manual_seed(0))
    Teacher.of(data, dataset.class_names, logits, "a test", {}).save(world / "teacher.safetensors")
    return world / "teacher.safetensors"


@pytest.fixture
def settings(world: Path, tmp_path: Path) -> dict[str, Any]:
    """Flags of a run of eight quick steps into `tmp_path`/run."""
    return {
        "output_dir": str(tmp_path / "run"),
        "dataset": f"arrays:{world / 'data.npz'}",
        "zoo": str(world / "zoo"),
        "encoders": f"embedding-table:{world / 'table.npz'}",
        "preset": "tiny",
        "max_classes": "4",
        "class_counts": "4:2,3:1",
        "images_per_task": "10",
        "task_batch_size": "4",
        "denoise_batch_size": "4",
        "num_inference_steps": "3",
        "num_validation_tasks": "0",
        "validation_steps": "none",
        "checkpointing_steps": "none",
        "max_steps": "8",
        "lr_warmup_steps": "2",
        "learning_rate": "0.002",
        "logging_steps": "1",
        "target_precision": "fp32",
        "target_workers": "1",
        "rollout_probability": "0.5",
        "condition_noise": "0.1",
    }


@pytest.fixture
def make_config(settings: dict[str, Any]) -> Callable[..., TrainingConfig]:
    """The settings with changes, as a configuration."""

    def make(**changes: Any) -> TrainingConfig:
        return load_training_config({**settings, **{name: str(value) for name, value in changes.items()}})

    return make


@pytest.fixture(scope="session")
def other_zoos(world: Path) -> dict[str, Path]:
    """Architecture -> zoo without p-Models, of the same classes as the zoo of `world`."""
    names = ("cnn-2layer@0.5", "cnn-2layer@0.25")
    return {name: bare_zoo(world / f"zoo-{number}", name, number) for number, name in enumerate(names, start=1)}


@pytest.fixture
def make_several(
    make_config: Callable[..., TrainingConfig], other_zoos: dict[str, Path]
) -> Callable[..., TrainingConfig]:
    """The settings of a run of three architectures, the last of which is not trained, with changes."""

    def make(**changes: Any) -> TrainingConfig:
        settings = {
            "zoos": ",".join(map(str, other_zoos.values())),
            "architectures": "cnn-2layer:1,cnn-2layer@0.5:2,cnn-2layer@0.25:0",
            "tokenizer": "filter:40",
            "denoise_weight": 0,
            "num_validation_tasks": 1,  # they choose how the untrained one is written
            "pool_rank": 4,
            "pool_moments": 2,
            "forecast_width": 16,
        }
        return make_config(**settings | changes)

    return make
