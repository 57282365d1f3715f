from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.changed_zoos import changed_zoo, without
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError, LeakageError
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_json, write_json
from tina_framework.training.components import build_components
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import read_manifest
from tina_framework.zoo.shards import read_shard, write_shard

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def test_held_out_classes_are_nowhere(make_config: Make, world: Path, tmp_path: Path) -> None:
    zoo = changed_zoo(world, tmp_path, without("ant", "lion"))
    components = build_components(make_config(zoo=zoo, held_out_classes="ant,lion", denoise_weight=0), CPU)
    assert not {"ant", "lion"} & set(components.seen_classes)
    assert components.generic["fc.weight"].shape == (10, 32)
    assert components.seen_superclasses == (1, 2, 3, 0, 1, 2, 3, 0, 1, 2)
    sampler = components.sampler("train", {"random": 1.0}, {4: 1.0})
    assert not any({"ant", "lion"} & sampler.task(i).class_set for i in range(50))


def test_objectives_without_weight_are_left_out(make_config: Make) -> None:
    assert [o.name for o in build_components(make_config(task_weight=0), CPU).objectives] == ["denoise"]
    assert [o.name for o in build_components(make_config(denoise_weight=0), CPU).objectives] == ["task"]


def test_a_model_of_a_reserved_set_is_a_leak(make_config: Make, world: Path, tmp_path: Path) -> None:
    from tina_framework.zoo.task_sampler import TaskSampler

    reserved = TaskSampler(make_classes(world), partition="test", class_counts={4: 1.0}).task(0).classes

    def change(folder: Path) -> None:
        config = read_manifest(folder).config
        models = read_shard(folder, config, 0)
        entry, flat = next(model for model in models if len(model[0].classes) == 4)
        models[entry.id] = (replace(entry, classes=reserved), flat)
        write_shard(folder, 0, models)
        write_index(folder, config)

    with pytest.raises(LeakageError, match="reserved for test"):
        build_components(make_config(zoo=changed_zoo(world, tmp_path, change)), CPU)


def test_a_zoo_without_models_serves_the_task_objective_alone(make_config: Make, world: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        manifest = read_json(folder / "zoo.json")
        manifest["config"]["num_models"] = 0
        write_json(folder / "zoo.json", manifest)
        renew_digest(folder / "zoo.json")
        (folder / "index.json").unlink()

    zoo = changed_zoo(world, tmp_path, change)
    assert [o.name for o in build_components(make_config(zoo=zoo, denoise_weight=0), CPU).objectives] == ["task"]
    with pytest.raises(ConfigError, match="holds no p-Model"):
        build_components(make_config(zoo=zoo), CPU)


def test_wrong_names_are_config_errors(make_config: Make) -> None:
    with pytest.raises(ConfigError, match="Unknown tokenizer 'class-rows'"):
        build_components(make_config(tokenizer="class-rows"), CPU)


def make_classes(world: Path) -> list[str]:
    names: list[str] = json.loads((world / "zoo" / "zoo.json").read_text())["class_names"]
    return names


def test_the_first_models_of_a_zoo_alone(make_config: Make) -> None:
    def learnt(number: int | None) -> list[tuple[str, ...]]:
        (objective,) = [
            o for o in build_components(make_config(zoo_models=number), CPU).objectives if o.name == "denoise"
        ]
        return list(objective.classes)  # type: ignore[attr-defined]

    everything = learnt(None)
    assert learnt(2) == everything[:2]
    with pytest.raises(ConfigError, match=f"zoo_models is 999, .* holds {len(everything)} p-Models"):
        learnt(999)
