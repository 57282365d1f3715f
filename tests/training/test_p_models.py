"""The p-Models of a run stay on disk, and what is read is what the zoo holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError
from tina_framework.training.components import build_components
from tina_framework.training.objectives import DenoiseObjective
from tina_framework.training.p_models import TrainingModels
from tina_framework.zoo.store import Zoo

Make = Callable[..., TrainingConfig]


@pytest.fixture
def zoo(world: Path) -> Zoo:
    return Zoo.open(world / "zoo")


def test_models_of_other_classes_are_left_out(make_config: Make, zoo: Zoo) -> None:
    everything = TrainingModels(make_config(), zoo, zoo.class_names)
    assert everything.ids == list(range(len(zoo)))
    gone = everything.classes[0][0]
    fewer = TrainingModels(make_config(), zoo, [name for name in zoo.class_names if name != gone])
    assert fewer.ids == [entry.id for entry in zoo.entries if gone not in entry.classes]
    assert all(torch.equal(fewer.flat(place), zoo.flat(i)) for place, i in enumerate(fewer.ids))
    small = TrainingModels(make_config(max_classes=3, class_counts="3"), zoo, zoo.class_names)
    assert {len(classes) for classes in small.classes} == {3}


def test_readers_read_all_models_in_their_order(make_config: Make, zoo: Zoo) -> None:
    models = TrainingModels(make_config(), zoo, zoo.class_names)
    read = [model for reader in models.readers() for model in reader()]
    assert [count for _, count in read] == [len(classes) for classes in models.classes]
    assert all(torch.equal(flat, models.flat(place)) for place, (flat, _) in enumerate(read))


def test_the_fingerprint_names_zoo_classes_and_models(make_config: Make, zoo: Zoo, tmp_path: Path) -> None:
    def of(*, seen: tuple[str, ...] = zoo.class_names, opened: Zoo = zoo, **changes: object) -> str:
        return TrainingModels(make_config(**changes), opened, seen).fingerprint()

    moved = Zoo.open(shutil.copytree(zoo.folder, tmp_path / "moved"))
    assert of() == of(opened=moved)
    assert len({of(), of(zoo_models=2), of(seen=zoo.class_names[1:]), of(seen=zoo.class_names[::-1])}) == 4


def test_a_shard_that_is_altered_during_training_is_refused(make_config: Make, world: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world / "zoo", tmp_path / "zoo")
    components = build_components(make_config(zoo=folder, task_weight=0), torch.device("cpu"))
    (objective,) = components.objectives
    assert isinstance(objective, DenoiseObjective)
    objective.draw(0, range(4))
    shard = folder / "shards" / "shard-00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"shard-00000\.safetensors' was altered"):
        objective.draw(1, range(4))
