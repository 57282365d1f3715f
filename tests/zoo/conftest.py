"""A tiny data set and a tiny zoo, built once."""

from __future__ import annotations

import json
import shutil

import pytest

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.datasets.shapes import shapes
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.digest import renew_digest
from tina_framework.zoo.build_plan import plan_build
from tina_framework.zoo.build_process import ProcessSetup
from tina_framework.zoo.builder import build_zoo
from tina_framework.zoo.zoo_config import ZooConfig

SETTINGS = {
    "dataset": "shapes:12",
    "num_models": 5,
    "shard_size": 2,
    "class_counts": {3: 1.0, 4: 1.0},
    "generic": {"epochs": 3, "batch_size": 32, "lr": 0.05, "precision": "fp32"},
    "model": {"epochs": 2, "batch_size": 16, "lr": 0.05, "precision": "fp32"},
}


@pytest.fixture(scope="session")
def spec():
    return ParameterSpec(cnn_2layer)


@pytest.fixture(scope="session")
def dataset():
    return shapes("12", validation_per_class=4, test_per_class=4)


@pytest.fixture(scope="session")
def config():
    return ZooConfig(**SETTINGS)


@pytest.fixture
def plan(spec, dataset, config):
    """plan(folder, **changes) -> a plan of the tiny zoo."""

    def make(folder, *, settings=config, **options):
        return plan_build(folder, settings, spec, dataset, ProcessSetup("cnn-2layer"), **options)

    return make


@pytest.fixture
def build(plan):
    """build(folder, **changes) -> number of models listed."""

    def run(folder, **options):
        names = ("settings", "device", "workers", "progress", "transfer")
        planned = {name: options.pop(name) for name in names if name in options}
        return build_zoo(plan(folder, **planned), **options)

    return run


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory, spec, dataset, config):
    folder = tmp_path_factory.mktemp("zoo") / "zoo"
    build_zoo(plan_build(folder, config, spec, dataset, ProcessSetup("cnn-2layer")))
    return folder


@pytest.fixture
def copy(tmp_path, zoo_folder):
    """A copy of the zoo that a test may damage."""
    return shutil.copytree(zoo_folder, tmp_path / "copy")


WIDE = cnn_2layer.at_width(1.25)


@pytest.fixture(scope="session")
def wide_config():
    """Settings with generic models of the widths 0.5, 1 and 1.25."""
    changes = {"generic_widths": [1, 0.5], "narrow": {"epochs": 2, "lr": 0.02}, "num_models": 1, "class_counts": {3: 1}}
    return ZooConfig(**{**SETTINGS, "architecture": WIDE.name, **changes})


@pytest.fixture(scope="session")
def wide_plan(dataset, wide_config):
    """wide_plan(folder, **changes) -> a plan of the zoo of several widths."""

    def make(folder, *, settings=wide_config, **options):
        return plan_build(folder, settings, ParameterSpec(WIDE), dataset, ProcessSetup(WIDE.name), **options)

    return make


@pytest.fixture(scope="session")
def wide_zoo(tmp_path_factory, wide_plan):
    """A zoo with generic models of several widths, and one p-Model."""
    folder = tmp_path_factory.mktemp("wide") / "zoo"
    build_zoo(wide_plan(folder))
    return folder


def rewrite(path, change):
    """Change a JSON file and renew its digest."""
    value = json.loads(path.read_text())
    changed = change(value)
    path.write_text(json.dumps(value if changed is None else changed))
    renew_digest(path)
