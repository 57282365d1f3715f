"""What a build is refused for before anything is written."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.storage.digest import renew_digest
from tina_framework.zoo.build_plan import check_folder, plan_by_names
from tina_framework.zoo.recipe import read_recipe
from tina_framework.zoo.task_sampler import sample_tasks


def test_the_tasks_are_drawn(tmp_path, plan, config, dataset):
    planned = plan(tmp_path / "zoo")
    assert planned.tasks == sample_tasks(config, dataset)
    assert not (tmp_path / "zoo").exists()


def test_other_folders_and_numbers_are_refused_before_work(tmp_path, plan):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="is not a zoo; nothing was changed"):
        plan(tmp_path / "run")
    for workers in (0, 10**9):
        with pytest.raises(ConfigError, match="worker processes cannot be started"):
            plan(tmp_path / "new", workers=workers)
    assert not (tmp_path / "new").exists()


def test_a_recipe_out_of_range_is_refused_before_anything_is_trained(tmp_path, plan, config):
    with pytest.raises(ConfigError, match=r"'model\.lr' is 0\.0, expected a number above 0"):
        plan(tmp_path / "zoo", settings=replace(config, model={**config.model, "lr": 0.0}))
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize("table", ["generic", "model"])
def test_a_shift_as_large_as_the_pictures_is_refused_before_anything_is_trained(tmp_path, plan, config, table):
    with pytest.raises(ConfigError, match=r"image_shift is 40, but the pictures of .* have .* pixels"):
        plan(tmp_path / "zoo", settings=replace(config, **{table: {**getattr(config, table), "image_shift": 40}}))
    with pytest.raises(ConfigError, match=rf"'{table}\.image_shift' is -1, expected a whole number from 0"):
        plan(tmp_path / "zoo", settings=replace(config, **{table: {**getattr(config, table), "image_shift": -1}}))
    assert not (tmp_path / "zoo").exists()


def test_a_manifest_without_settings_is_one_sentence(tmp_path, plan, zoo_folder):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "zoo.json").write_text('{"format": "tina-zoo", "version": 1}')
    renew_digest(tmp_path / "zoo" / "zoo.json")
    with pytest.raises(CheckpointError, match="lacks config"):
        plan(tmp_path / "zoo")


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"seed": 1}, r"other settings \(seed\)"), ({"shard_size": 3}, r"other settings \(shard_size\)")],
)
def test_a_zoo_of_other_settings_is_refused(plan, config, zoo_folder, changes, words):
    with pytest.raises(ConfigError, match=words):
        plan(zoo_folder, settings=replace(config, **changes))


def test_a_zoo_of_other_classes_is_refused(tmp_path, config, zoo_folder, dataset):
    from tina_framework.zoo.subset import without_classes

    fewer = without_classes(dataset, [dataset.class_names[0]])
    with pytest.raises(ConfigError, match="holds a zoo of other classes"):
        check_folder(zoo_folder, config, fewer)
    shutil.copytree(zoo_folder, tmp_path / "zoo")
    check_folder(tmp_path / "zoo", config, dataset)


def test_a_plan_by_names_is_that_of_the_command(tmp_path):
    (tmp_path / "zoo.toml").write_text("num_models = 5\nshard_size = 2\nclass_counts = { 3 = 1 }\n")
    planned = plan_by_names(tmp_path / "zoo", "shapes:4", read_recipe(tmp_path / "zoo.toml", {"seed": 3}), workers=2)
    assert (planned.config.seed, planned.config.num_shards, planned.config.dataset) == (3, 3, "shapes:4")
    assert planned.worker_setup.architecture == planned.config.architecture
    assert len(planned.tasks) == 5


def test_a_width_is_recorded_as_the_architecture_writes_it(tmp_path):
    recipe = {"num_models": 1, "class_counts": {3: 1}, "architecture": "cnn-2layer@1.50"}
    planned = plan_by_names(tmp_path / "zoo", "shapes:4", recipe)
    assert planned.config.architecture == planned.spec.architecture.name == "cnn-2layer@1.5"
    assert planned.worker_setup.architecture == "cnn-2layer@1.5"


def test_a_plan_records_no_folder_of_this_machine(tmp_path):
    import numpy as np

    arrays = {
        f"{split}_{part}": np.zeros((6, 8, 8, 3) if part == "images" else 6, np.uint8)
        for split in ("train", "validation", "test")
        for part in ("images", "labels")
    }
    arrays |= {f"{split}_labels": np.repeat(np.arange(3), 2) for split in ("train", "validation", "test")}
    np.savez(tmp_path / "data.npz", class_names=np.array(["ant", "bee", "cat"]), **arrays)
    planned = plan_by_names(tmp_path / "zoo", f"arrays:{tmp_path / 'data.npz'}", {"num_models": 1})
    assert planned.config.dataset == "arrays:data.npz"


def test_a_teacher_is_given_as_a_file_and_not_in_the_recipe(tmp_path):
    with pytest.raises(ConfigError, match="--teacher"):
        plan_by_names(tmp_path / "zoo", "shapes:8", {"teacher": "ab12"})


def test_widths_that_the_architecture_lacks_are_refused_before_anything_is_trained(tmp_path, plan, config):
    with pytest.raises(ConfigError, match=r"so 0\.1 is none of them"):
        plan(tmp_path / "zoo", settings=replace(config, generic_widths=(0.1,)))
    assert not (tmp_path / "zoo").exists()


def test_widths_come_from_a_recipe(tmp_path):
    (tmp_path / "zoo.toml").write_text(
        'architecture = "cnn-2layer@2"\ngeneric_widths = [1.5, 0.5, 1]\nnum_models = 1\n'
    )
    planned = plan_by_names(tmp_path / "zoo", "shapes:4", read_recipe(tmp_path / "zoo.toml", {}))
    assert planned.config.generic_widths == (0.5, 1.0, 1.5)
    assert planned.config.narrow["lr"] == 0.05
    assert planned.config.narrow["epochs"] >= 60
    (tmp_path / "zoo.toml").write_text("generic_widths = 3\n")
    with pytest.raises(ConfigError, match=r"1 mistake.*'generic_widths' is 3, expected a list of numbers above 0"):
        read_recipe(tmp_path / "zoo.toml", {})
