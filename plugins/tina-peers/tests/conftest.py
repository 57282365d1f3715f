"""A tiny world: twelve drawn classes, a made-up zoo of the built-in network, and quick settings for every peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.builtins.datasets.shapes import CLASS_NAMES
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import FORMAT, write_manifest
from tina_framework.zoo.shards import write_shard
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.zoo_config import ZooConfig
from tina_peers.catalogue import peer_class
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings
from tina_peers.setup import Setup

DATASET = "shapes:6"
COUNTS = {4: 1.0, 3: 1.0}

QUICK: dict[str, Any] = {"batch_size": 3, "images_per_task": 12, "max_classes": 4, "lr": 3e-3}
"""Training settings that take a moment."""

SMALL = {"hidden": 16, "depth": 1, "coder": 8, "latent": 4, "row_latent": 3, "components": 3, "sampling_steps": 3}
"""Sizes for the settings of peers that have such a field."""


def small(name: str, **changes: Any) -> PeerSettings:
    """Return small settings of a peer."""
    kind = peer_class(name).settings_class
    known = {field: value for field, value in SMALL.items() if field in kind.__dataclass_fields__}
    return kind(**{**known, **changes})


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Bit-identical results need a fixed number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a zoo of eight p-Models with three or four classes, whose differences are noise."""
    folder = tmp_path_factory.mktemp("world") / "zoo"
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generic = spec.architecture.build(len(CLASS_NAMES))
    state = {name: p.detach() for name, p in generic.named_parameters()}
    config = ZooConfig(num_models=8, class_counts=COUNTS)
    models = []
    for i, task in enumerate(TaskSampler(CLASS_NAMES, class_counts=COUNTS).tasks(8)):
        rows = torch.tensor([CLASS_NAMES.index(name) for name in task.classes])
        flat = spec.flatten(spec.select_classes(state, rows), len(rows))
        flat = flat + 0.02 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(i))
        models.append((ZooEntry(i, task.classes, 0, 0.5, 0.5), flat))
    manifest = {"format": FORMAT, "version": 1, "config": config.to_json(), "class_names": list(CLASS_NAMES)}
    write_safetensors(folder / "generic.safetensors", state)
    write_manifest(folder, manifest)
    write_shard(folder, 0, models)
    write_index(folder, config)
    return folder


@pytest.fixture(scope="session")
def make_setup(zoo: Path) -> Callable[..., Setup]:
    """Makes the setup of a peer: ``make_setup(name, {"tasks": 1}, steps=4)``."""

    def make(name: str, data: Mapping[str, Any] | None = None, **changes: Any) -> Setup:
        kind = peer_class(name)
        recipe = kind.recipe.__class__(**{**vars(kind.recipe), **QUICK, **changes})
        given = {"dataset": DATASET, "zoo": str(zoo), "encoder": "clip-lite", "tasks": 2, "classes": 4}
        return Setup(kind, recipe, **{**given, **(data or {})})

    return make


@pytest.fixture
def make_peer(make_setup: Callable[..., Setup]) -> Callable[..., tuple[Peer, Setup]]:
    """Makes an untrained small peer and its setup."""

    def make(name: str, data: Mapping[str, Any] | None = None, **changes: Any) -> tuple[Peer, Setup]:
        setup = make_setup(name, data, **changes)
        return setup.peer(peer_class(name), small(name)), setup

    return make
