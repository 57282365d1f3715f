"""A protocol of toys, and an installed plugin with methods, of which some make mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ToyEncoder
from tina_framework.evaluation.bench.protocol import Protocol, read_protocol
from tina_framework.zoo.tasks import Task, save_tasks

VALUES: dict[str, Any] = {
    "format": "tina-protocol",
    "format_version": 1,
    "title": "Toys",
    "dataset": "shapes",
    "image_split": "test",
    "tasks": "toys.tasks.json",
    "split": "unseen-combination",
    "encoder": "toy",
    "template": 0,
    "generator": "tiny",
    "zoo": "toy-zoo",
    "seed": 0,
    "reference": "selection",
    "leave_out": ["common", "random-prompt", "fine-tune"],
    "full": {
        "tasks": 6,
        "fine_tune_tasks": 1,
        "row_seconds": None,
        "novelty_tasks": 4,
        "training_tasks": 8,
        "extra_seconds": 600,
    },
    "quick": {
        "tasks": 3,
        "fine_tune_tasks": 1,
        "row_seconds": None,
        "novelty_tasks": 3,
        "training_tasks": 4,
        "extra_seconds": 600,
    },
}

METHODS = '''
import numpy as np
import torch

from tina_framework.interfaces.method import Method, Network
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import network


class Reader(Method):
    """Class rows that fit the pictures of the classes with the nearest vectors, and shared tensors that follow the mean vector."""

    name, reads_text, batch_size = "reader", True, 2
    paper, differs, tuning = "Reader et al., 2020", "small", "none tried"

    def describe(self):
        return "a toy"

    def encoded(self, classes):
        return encode_tasks(classes, self.context.encoder, self.context.template)

    def prepare(self, tasks):
        spec, names = self.context.spec, self.context.need_generic().class_names
        self.known = np.stack(self.encoded([names])[0].vectors)
        bank = ImageBank(self.context.dataset, "train", spec)
        width = self.context.need_generic().state["fc.weight"].shape[1]
        read = {**self.context.need_generic().state, "fc.weight": torch.eye(width), "fc.bias": torch.zeros(width)}
        module = network(spec, spec.flatten(read, width), width)  # its outputs are the features
        with torch.no_grad():
            features = module(bank.images)
        self.means = torch.stack([features[bank.labels == i].mean(0) for i in range(len(names))])

    def parameters(self, tasks):
        spec, generic = self.context.spec, self.context.need_generic()
        answers = []
        for task, encoded in zip(tasks, self.encoded([t.classes for t in tasks])):
            means = self.means[(np.stack(encoded.vectors) @ self.known.T).argmax(1)]
            state = spec.unflatten(generic.select(spec, task.classes).flat, len(task.classes))
            shift = float(np.mean(encoded.vectors))
            state = {name: tensor * (1 + shift) for name, tensor in state.items()}
            state["fc.weight"], state["fc.bias"] = means, -0.5 * means.square().sum(1)  # the nearest mean wins
            answers.append(Network(spec.flatten(state, len(task.classes)), task.classes))
        return answers


class Careless(Reader):
    """Reads its prompts too early, and gives the same for all tasks."""

    name, batch_size = "careless", 1

    def prepare(self, tasks):
        super().prepare(tasks)
        self.answers = {task.classes: Reader.parameters(self, [task])[0] for task in tasks}

    def parameters(self, tasks):
        return [self.answers[task.classes] for task in tasks]


class Wrong(Method):
    """Returns too few parameters."""

    name = "wrong"

    def parameters(self, tasks):
        return [Network(torch.zeros(3), task.classes) for task in tasks]
'''

HOOK = """
from tina_framework import hookimpl

TINA_API = "2.3"

@hookimpl
def tina_register(registry):
    registry.methods.add("reader", "fake_methods.methods:Reader", summary="a method that reads", argument="SCALE")
    registry.methods.add("careless", "fake_methods.methods:Careless", summary="a method that reads too early")
    registry.methods.add("wrong", "fake_methods.methods:Wrong", summary="a method with a mistake")
    registry.methods.add("absent", "fake_methods.nowhere:Absent", summary="a method that cannot be imported")
"""


@pytest.fixture
def values() -> dict[str, Any]:
    """What the file of a protocol holds."""
    return json.loads(json.dumps(VALUES))


@pytest.fixture
def installed(tmp_path: Path, tiny_folder: Path, zoo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Registries of their own, with the toys and with an installed plugin ``fake-methods``. Its METADATA file is returned."""
    from tina_framework.plugin import discovery

    monkeypatch.setattr(discovery, "_host", None)
    site = tmp_path / "site"
    (site / "fake_methods").mkdir(parents=True)
    (site / "fake_methods" / "__init__.py").write_text("")
    (site / "fake_methods" / "methods.py").write_text(METHODS)
    (site / "fake_methods" / "plugin.py").write_text(HOOK)
    info = site / "fake_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-methods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tina_framework]\nfake = fake_methods.plugin\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("TINA_ALLOW_PLUGINS", "fake-methods")
    registries = discovery.registries()
    registries.encoders.add("toy", ToyEncoder)
    registries.generators.add("tiny", tiny_folder)
    registries.zoos.add("toy-zoo", zoo_folder)
    yield info / "METADATA"
    for name in [name for name in sys.modules if name.partition(".")[0] == "fake_methods"]:
        del sys.modules[name]


@pytest.fixture
def protocol(tmp_path: Path, values: dict[str, Any], tasks: list[Task]) -> Protocol:
    """The protocol of toys: six reserved tasks of three classes, and four others that are not used."""
    folder = tmp_path / "protocols"
    folder.mkdir()
    save_tasks(folder / "toys.tasks.json", tasks)
    (folder / "toys.json").write_text(json.dumps(values))
    return read_protocol(folder / "toys.json")
