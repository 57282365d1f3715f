"""What the settings name is opened and compared, and open defaults are filled in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.changed_zoos import changed_zoo, without
from tina_framework.config.training import TrainingConfig, load_training_config
from tina_framework.errors import ConfigError, DataError, LeakageError
from tina_framework.training.components import build_components
from tina_framework.training.run_inputs import load_images, open_inputs
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import read_manifest, write_manifest
from tina_framework.zoo.shards import read_shard, write_shard

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


@pytest.fixture
def open_counts(settings: dict[str, Any]) -> Callable[..., TrainingConfig]:
    """The settings without class_counts and max_classes, with changes."""

    def make(**changes: Any) -> TrainingConfig:
        left = {name: value for name, value in settings.items() if name not in ("class_counts", "max_classes")}
        return load_training_config({**left, "images_per_task": "24", **changes})

    return make


def test_class_counts_follow_a_small_number_of_classes(open_counts: Make) -> None:
    config = open_inputs(open_counts()).config
    assert config.class_counts == dict.fromkeys(range(2, 13), 1.0)
    assert config.max_classes == 12
    assert config.sha256() == open_counts(class_counts=config.class_counts, max_classes=12).sha256()


def test_few_classes_are_trained_for_fewer_steps(settings: dict[str, Any]) -> None:
    lengths = ("max_steps", "lr_warmup_steps", "validation_steps")
    left = {name: value for name, value in settings.items() if name not in lengths}
    config = open_inputs(load_training_config(left)).config
    assert (config.max_steps, config.lr_warmup_steps, config.validation_steps) == (500, 100, 125)
    config = open_inputs(load_training_config({**left, "validation_steps": "7"})).config
    assert (config.max_steps, config.validation_steps) == (500, 7)
    config = open_inputs(load_training_config({**left, "max_steps": "40"})).config
    assert (config.max_steps, config.lr_warmup_steps, config.validation_steps) == (40, 200, 500)


def test_given_class_counts_stay(open_counts: Make) -> None:
    config = open_inputs(open_counts(class_counts="4:2,3:1")).config
    assert (config.class_counts, config.max_classes) == ({4: 2.0, 3: 1.0}, 12)
    config = open_inputs(open_counts(max_classes="3")).config
    assert (config.class_counts, config.max_classes) == ({2: 1.0, 3: 1.0}, 3)
    with pytest.raises(ConfigError, match="A task of 13 classes cannot be drawn from 12 classes; choose"):
        build_components(open_counts(class_counts="13"), CPU)  # `TaskSampler` refuses it
    with pytest.raises(ConfigError, match="images_per_task is 5, but tasks have up to 12 classes"):
        open_inputs(open_counts(images_per_task="5"))


def test_a_class_that_the_zoo_has_seen_cannot_be_held_out(make_config: Make, world: Path, tmp_path: Path) -> None:
    zoo = changed_zoo(world, tmp_path, without("ant"))
    with pytest.raises(LeakageError, match="held_out_classes names 'lion', but the networks"):
        open_inputs(make_config(zoo=zoo, held_out_classes="ant,lion"))


def test_a_zoo_of_other_data_is_refused(make_config: Make, world: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        def renamed(names: Sequence[str]) -> tuple[str, ...]:
            return tuple("unicorn" if name == "lion" else name for name in names)

        manifest = read_manifest(folder)
        models = read_shard(folder, manifest.config, 0)
        write_manifest(folder, manifest.values | {"class_names": renamed(manifest.class_names)})
        write_shard(folder, 0, [(replace(entry, classes=renamed(entry.classes)), flat) for entry, flat in models])
        write_index(folder, manifest.config)

    with pytest.raises(DataError, match="'unicorn'"):
        open_inputs(make_config(zoo=changed_zoo(world, tmp_path, change)))


def test_a_shift_as_large_as_the_pictures_is_refused(make_config: Make) -> None:
    open_inputs(make_config(image_shift=31))
    with pytest.raises(ConfigError, match=r"image_shift is 32, but the pictures of 'cnn-2layer' have 32 x 32 pixels"):
        open_inputs(make_config(image_shift=32))


def test_a_teacher_that_knows_a_validation_class_is_refused(make_config: Make, teacher_file: Path) -> None:
    assert load_images(open_inputs(make_config(teacher=teacher_file)), CPU).taught_by == "a test"
    with pytest.raises(LeakageError, match="The teacher was trained on 'cat', which training must not see"):
        load_images(open_inputs(make_config(teacher=teacher_file, validation_classes="cat")), CPU)


def test_validation_classes_are_left_alone(make_config: Make) -> None:
    whole = open_inputs(make_config()).seen_classes
    left = open_inputs(make_config(validation_classes=whole[2])).seen_classes
    assert left == tuple(name for name in whole if name != whole[2])
    with pytest.raises(ConfigError, match="validation_classes names 'nothing'"):
        open_inputs(make_config(validation_classes="nothing"))
    with pytest.raises(ConfigError, match="held_out_classes names 'bat'"):
        open_inputs(make_config(held_out_classes="bat"))
