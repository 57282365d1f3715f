"""The first stage: a generic model that is trained or taken over, and what is measured of it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.generic_stage import generic_figures, has_generic, make_generic, read_generic
from tina_framework.zoo.generic_training import train_generic
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.manifest import read_manifest
from tina_framework.zoo.narrower import narrow_start
from tina_framework.zoo.stages import build_generic
from tina_framework.zoo.store import Zoo

GENERIC_FILES = ("generic.safetensors", "generic-1.safetensors", "generic-0.5.safetensors")


def test_figures_of_the_generic_model_leave_out_classes_without_images(spec, zoo_folder, dataset):
    bank = ImageBank(dataset, "validation", spec)
    kept = bank.labels == 0
    bank.images, bank.labels = bank.images[kept], bank.labels[kept]
    figures = generic_figures(spec, Zoo.open(zoo_folder).generic, bank)
    assert figures["selection_10_of_all"] == 1, "only one class is left to choose from"
    assert 0 <= figures["accuracy"] <= 1


def test_a_generic_model_is_trained_and_read(tmp_path, plan, zoo_folder):
    planned = plan(tmp_path / "zoo")
    assert not has_generic(planned)
    with pytest.raises(CheckpointError):
        read_generic(planned)
    make_generic(planned, None)
    assert has_generic(planned)
    expected = Zoo.open(zoo_folder).generic
    assert all(torch.equal(tensor, expected[name]) for name, tensor in read_generic(planned).items())


def test_a_generic_model_is_taken_over_only_if_it_is_the_same(tmp_path, plan, config, zoo_folder):
    planned = plan(tmp_path / "two", settings=replace(config, num_models=2))
    make_generic(planned, zoo_folder)
    assert (tmp_path / "two" / "generic.safetensors").read_bytes() == (zoo_folder / "generic.safetensors").read_bytes()
    other = plan(tmp_path / "no", settings=replace(config, generic={**config.generic, "epochs": 1}))
    with pytest.raises(ConfigError, match=r"other settings \(generic\)"):
        make_generic(other, zoo_folder)
    assert not has_generic(other)


def test_the_generic_model_is_measured_at_each_width(wide_zoo, dataset):
    zoo = Zoo.open(wide_zoo)
    found = zoo.figures["generic"]
    assert list(found["validation_by_width"]) == ["0.5", "1", "1.25"]
    assert found["validation_by_width"]["1.25"] == found["validation"]
    narrow = ParameterSpec(cnn_2layer.at_width(0.5))
    bank = ImageBank(dataset, "validation", narrow)
    assert generic_figures(narrow, zoo.narrowed(narrow).generic, bank) == found["validation_by_width"]["0.5"]


def test_a_zoo_of_one_width_has_no_figures_by_width(zoo_folder):
    assert list(Zoo.open(zoo_folder).figures["generic"]) == ["validation"]


def same_files(one, two, names):
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_a_narrower_model_is_trained_from_the_slices_of_the_next_wider_one(tmp_path, wide_zoo, wide_config, dataset):
    zoo, narrow = Zoo.open(wide_zoo), ParameterSpec(cnn_2layer.at_width(0.5))
    start = narrow_start(zoo.generic_at(1), narrow, len(zoo.class_names))
    recipe = SGDRecipe(epochs=2, batch_size=32, lr=0.02, precision="fp32")
    assert SGDRecipe(**wide_config.narrow_recipe) == recipe
    bank = ImageBank(dataset, "train", narrow)
    wanted = train_generic(narrow, bank, recipe, 0, tmp_path / "partial.safetensors", start=start)
    found = zoo.generic_at(0.5)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_the_widest_model_is_that_of_a_zoo_without_narrower_ones(tmp_path, wide_zoo, wide_plan, wide_config):
    planned = wide_plan(tmp_path / "alone", settings=replace(wide_config, generic_widths=(), narrow={}))
    make_generic(planned, None)
    found, alone = Zoo.open(wide_zoo).generic, read_generic(planned)
    assert all(torch.equal(found[name], alone[name]) for name in alone)


class Cut(Exception):
    """Stands for the power going off."""


@pytest.mark.parametrize(
    ("stage", "epoch", "rest"),
    [
        ("generic@1.25", 2, [("generic@1.25", 3), *((f"generic@{w}", e) for w in (1, 0.5) for e in (1, 2))]),
        ("generic@1.25", 3, [(f"generic@{w}", e) for w in (1, 0.5) for e in (1, 2)]),
        ("generic@1", 1, [("generic@1", 2), ("generic@0.5", 1), ("generic@0.5", 2)]),
        ("generic@0.5", 1, [("generic@0.5", 2)]),
    ],
)
def test_a_stopped_build_goes_on_at_the_width_and_epoch_that_it_had_reached(
    tmp_path, wide_plan, wide_zoo, stage, epoch, rest
):
    def stop(*now):
        if now[:2] == (stage, epoch):
            raise Cut

    seen, folder = [], tmp_path / "zoo"
    with pytest.raises(Cut):
        build_generic(wide_plan(folder, progress=stop))
    assert not (folder / "zoo.json").exists(), "other processes wait for this file"
    build_generic(wide_plan(folder, progress=lambda name, done, total: seen.append((name, done))))
    assert seen == rest
    assert same_files(folder, wide_zoo, ["zoo.json", *GENERIC_FILES])
    assert {path.name for path in folder.iterdir()} == {".lock", "zoo.json", *GENERIC_FILES}


def test_only_what_belongs_to_the_settings_is_kept(tmp_path, wide_plan, wide_config, wide_zoo):
    """A stopped build of other settings, and damaged files, cost a training and no error."""

    def stop(stage, epoch, _):
        if (stage, epoch) == ("generic@0.5", 1):
            raise Cut

    seen, folder = set(), tmp_path / "zoo"
    other = replace(wide_config, generic_widths=(0.5, 0.75), narrow={"epochs": 1, "lr": 0.02})
    with pytest.raises(Cut):
        build_generic(wide_plan(folder, settings=other, progress=stop))
    assert {path.name for path in folder.glob("generic-*")} == {"generic-0.75.safetensors"}
    (folder / "generic-1.safetensors").write_bytes((wide_zoo / "generic-1.safetensors").read_bytes()[:500])
    build_generic(wide_plan(folder, progress=lambda stage, *_: seen.add(stage)))
    assert seen == {"generic@1", "generic@0.5"}, "the widest one is the same"
    assert same_files(folder, wide_zoo, ["zoo.json", *GENERIC_FILES])
    assert not (folder / "generic-0.75.safetensors").exists()


def test_generic_models_of_all_widths_are_taken_over(tmp_path, wide_plan, wide_zoo):
    stages = set()
    planned = wide_plan(tmp_path / "zoo", progress=lambda stage, *_: stages.add(stage))
    make_generic(planned, wide_zoo)
    assert stages == set()
    assert same_files(tmp_path / "zoo", wide_zoo, ["zoo.json", *GENERIC_FILES])


@pytest.mark.parametrize(
    ("case", "trained"),
    [
        ("no widths", {"1", "0.5"}),
        ("another narrow", {"1", "0.5"}),
        ("fewer widths", {"0.5"}),
        ("more widths", {"0.5"}),
    ],
)
def test_of_narrower_models_those_that_fit_are_taken_over(tmp_path, wide_plan, wide_config, wide_zoo, case, trained):
    widths, narrow = {
        "no widths": ((), {}),
        "another narrow": ((0.5, 1), {"epochs": 1}),
        "fewer widths": ((1,), wide_config.narrow),
        "more widths": ((0.5, 0.75, 1), wide_config.narrow),
    }[case]
    settings = replace(wide_config, generic_widths=widths, narrow=narrow, num_models=0)
    make_generic(wide_plan(tmp_path / "source", settings=settings), None)
    stages = set()
    planned = wide_plan(tmp_path / "zoo", progress=lambda stage, *_: stages.add(stage.removeprefix("generic@")))
    make_generic(planned, tmp_path / "source")
    assert stages == trained
    assert same_files(tmp_path / "zoo", wide_zoo, ["zoo.json", *GENERIC_FILES])


def test_a_zoo_of_one_width_takes_the_widest(tmp_path, wide_plan, wide_config, wide_zoo):
    planned = wide_plan(tmp_path / "zoo", settings=replace(wide_config, generic_widths=(), narrow={}))
    make_generic(planned, wide_zoo)
    taken, source = read_generic(planned), Zoo.open(wide_zoo)
    assert all(torch.equal(taken[name], source.generic[name]) for name in source.generic)
    assert read_manifest(tmp_path / "zoo").figures == {
        "generic": {"validation": source.figures["generic"]["validation"]}
    }
    assert not list((tmp_path / "zoo").glob("generic-*"))


def test_an_altered_narrower_model_stops_a_build(tmp_path, wide_plan, wide_zoo):
    shutil.copytree(wide_zoo, tmp_path / "zoo")
    path = tmp_path / "zoo" / "generic-0.5.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"generic-0\.5\.safetensors' was altered"):
        read_generic(wide_plan(tmp_path / "zoo"))
    path.unlink()
    with pytest.raises(CheckpointError, match=r"generic-0\.5\.safetensors"):
        read_generic(wide_plan(tmp_path / "zoo"))
