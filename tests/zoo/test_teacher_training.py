"""Training a teacher on a tiny data set, and networks that learn from it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo import generic_training
from tina_framework.zoo.image_bank import ImageBank, load_split
from tina_framework.zoo.p_models import _train_batched, fine_tune, network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.teacher import Teacher
from tina_framework.zoo.teacher_training import best_temperature, train_teacher

RECIPE = SGDRecipe(epochs=3, batch_size=32, lr=0.05, precision="fp32")
TAUGHT = SGDRecipe(epochs=2, batch_size=16, lr=0.05, precision="fp32", teacher_weight=0.8, teacher_temperature=2.0)


@pytest.fixture(scope="module")
def table(tmp_path_factory, dataset, spec):
    path = tmp_path_factory.mktemp("teacher") / "t.safetensors"
    train_teacher(path, dataset, spec, RECIPE, taught_by="a test")
    return path


def test_the_table_holds_calibrated_logits_of_all_training_pictures(table, dataset, spec):
    teacher = Teacher.load(table)
    bank = ImageBank(dataset, "train", spec, teacher=teacher)
    assert teacher.logits.shape == (2, len(bank.labels), len(dataset.class_names))
    assert teacher.record["temperature"] > 0
    accuracy = float((teacher.logits[0].float().argmax(1) == bank.labels).float().mean())
    assert accuracy == pytest.approx(teacher.record["train_accuracy"])
    assert not torch.equal(teacher.logits[0], teacher.logits[1])
    assert not list(table.parent.glob("*.partial"))


def test_a_stopped_teacher_goes_on_and_writes_the_same_file(tmp_path, table, dataset, spec):
    path = tmp_path / "t.safetensors"
    with pytest.raises(Cut):
        train_teacher(path, dataset, spec, RECIPE, taught_by="a test", progress=stop_after(2))
    assert not path.exists()
    train_teacher(path, dataset, spec, RECIPE, taught_by="a test")
    assert path.read_bytes() == table.read_bytes()


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path, monkeypatch, dataset, spec):
    monkeypatch.setattr(generic_training, "fit", None)
    with pytest.raises(ConfigError, match="cannot be written"):
        train_teacher(tmp_path / "no" / "t.safetensors", dataset, spec, RECIPE, taught_by="a test")
    with pytest.raises(ConfigError, match="labels alone"):
        train_teacher(tmp_path / "t.safetensors", dataset, spec, TAUGHT, taught_by="a test")


def test_a_repeated_call_trains_nothing_and_overwrites_nothing(tmp_path, monkeypatch, table, dataset, spec):
    path = tmp_path / "t.safetensors"
    path.write_bytes(table.read_bytes())
    monkeypatch.setattr(generic_training, "fit", None)
    assert train_teacher(path, dataset, spec, RECIPE, taught_by="a test") == Teacher.load(table).record
    for changes in ({"taught_by": "another"}, {"seed": 1, "taught_by": "a test"}):
        with pytest.raises(ConfigError, match="holds a teacher of other settings"):
            train_teacher(path, dataset, spec, RECIPE, **changes)
    assert path.read_bytes() == table.read_bytes()
    path.write_text("mine")
    with pytest.raises(ConfigError, match="would be overwritten"):
        train_teacher(path, dataset, spec, RECIPE, taught_by="a test")
    assert path.read_text() == "mine"


class Cut(Exception):
    pass


def stop_after(epochs):
    def stop(stage, done, total):
        if (stage, done) == ("teacher", epochs):
            raise Cut

    return stop


class Brighter:
    """The data set with other pictures, under the same name and with the same classes."""

    def __init__(self, dataset):
        self.name, self.class_names, self.superclasses = dataset.name, dataset.class_names, dataset.superclasses
        self._dataset = dataset

    def load(self, split):
        data = self._dataset.load(split)
        return LabelledImages(255 - data.images, data.labels)


@pytest.mark.parametrize("change", ["pictures", "recipe"])
def test_a_stopped_teacher_of_something_else_is_not_continued(tmp_path, dataset, spec, change):
    path, told = tmp_path / "t.safetensors", []
    with pytest.raises(Cut):
        train_teacher(path, dataset, spec, RECIPE, taught_by="a test", progress=stop_after(2))
    data = Brighter(dataset) if change == "pictures" else dataset
    recipe = dataclasses.replace(RECIPE, flip=False) if change == "recipe" else RECIPE
    train_teacher(path, data, spec, recipe, taught_by="a test", progress=lambda *words: told.append(words))
    assert told[0] == ("teacher", 1, 3)


def test_a_teacher_that_learnt_from_validation_pictures_is_not_measured_on_them(tmp_path, dataset, spec):
    path = tmp_path / "t.safetensors"
    recipe = dataclasses.replace(RECIPE, epochs=1)
    record = train_teacher(path, dataset, spec, recipe, taught_by="a test", split="train+validation")
    assert (record["validation_accuracy"], record["temperature"]) == (None, 1.0)
    teacher = Teacher.load(path)
    assert teacher.record == record
    assert len(teacher.labels) == len(load_split(dataset, "train+validation"))


def test_a_frozen_trunk_may_know_held_out_classes(tmp_path, dataset, spec):
    trunk = FrozenTrunk("toy", nn.Flatten, (3 * 32 * 32,))
    head = ParameterSpec(TargetArchitecture("a-head", lambda count: nn.Linear(3 * 32 * 32, count), trunk=trunk))
    held_out = dataset.class_names[:1]
    with pytest.raises(ConfigError, match="frozen trunk of 'a-head' may have been trained on held-out classes"):
        train_teacher(tmp_path / "t", dataset, head, RECIPE, taught_by="a test", held_out=held_out)


def test_the_best_temperature_undoes_a_scale():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 5, generator=rng)
    labels = torch.distributions.Categorical(logits=logits).sample()
    assert best_temperature(3.0 * logits, labels) == pytest.approx(3.0, rel=0.2)


def test_p_models_learn_from_the_teacher(table, dataset, spec, zoo_folder):
    zoo, bank = Zoo.open(zoo_folder), ImageBank(dataset, "train", spec, teacher=Teacher.load(table))
    classes = zoo.class_names[:3]
    taught = fine_tune(spec, zoo.generic, classes, bank, TAUGHT, 0)
    untaught = fine_tune(spec, zoo.generic, classes, bank, dataclasses.replace(TAUGHT, teacher_weight=0.0), 0)
    plain = fine_tune(
        spec,
        zoo.generic,
        classes,
        ImageBank(dataset, "train", spec),
        dataclasses.replace(TAUGHT, teacher_weight=0.0),
        0,
    )
    assert torch.equal(untaught, plain)
    assert not torch.allclose(taught, plain, atol=1e-3)
    together = _train_batched(spec, zoo.generic, [(0, 0, Task(classes)), (1, 0, Task(classes))], bank, TAUGHT)
    torch.testing.assert_close(together[1], taught, rtol=1e-3, atol=1e-4)


def test_shifted_pictures_are_taught_alike_one_by_one_and_together(table, dataset, spec, zoo_folder):
    zoo, bank = Zoo.open(zoo_folder), ImageBank(dataset, "train", spec, teacher=Teacher.load(table))
    classes, recipe = zoo.class_names[:3], dataclasses.replace(TAUGHT, image_shift=2)
    moved = fine_tune(spec, zoo.generic, classes, bank, recipe, 0)
    assert not torch.equal(moved, fine_tune(spec, zoo.generic, classes, bank, TAUGHT, 0))
    together = _train_batched(spec, zoo.generic, [(0, 0, Task(classes)), (1, 0, Task(classes))], bank, recipe)
    torch.testing.assert_close(together[1], moved, rtol=1e-3, atol=1e-4)


def test_a_recipe_without_shifts_is_recorded_as_before_there_were_any(table):
    assert "image_shift" not in Teacher.load(table).record["recipe"]


def test_a_shift_as_large_as_the_pictures_is_refused(tmp_path, dataset, spec):
    with pytest.raises(ConfigError, match="image_shift is 99"):
        train_teacher(
            tmp_path / "t.safetensors", dataset, spec, dataclasses.replace(RECIPE, image_shift=99), taught_by="a test"
        )
    with pytest.raises(ConfigError, match="image_shift is 99"):
        fine_tune(
            spec,
            {},  # it is not read
            dataset.class_names[:3],
            ImageBank(dataset, "train", spec),
            dataclasses.replace(RECIPE, image_shift=99),
            0,
        )


def test_with_the_teacher_alone_a_network_comes_nearer_to_it(table, dataset, spec, zoo_folder):
    zoo, bank = Zoo.open(zoo_folder), ImageBank(dataset, "train", spec, teacher=Teacher.load(table))
    classes = zoo.class_names[:3]
    labels = bank.labels_of(classes)
    rows, _ = bank.rows(classes)
    wanted = bank.teacher_rows(rows, labels)[0].float().softmax(1)

    def distance(epochs):
        recipe = SGDRecipe(epochs=epochs, batch_size=8, lr=0.05, precision="fp32", flip=False, teacher_weight=1.0)
        flat = fine_tune(spec, zoo.generic, classes, bank, recipe, 0)
        with torch.no_grad():
            found = network(spec, flat, 3).eval()(bank.images[rows]).log_softmax(1)
        return float(F.kl_div(found, wanted, reduction="batchmean"))

    assert distance(20) < distance(1)


def test_a_recipe_that_needs_a_teacher_says_so(dataset, spec, zoo_folder):
    zoo, bank = Zoo.open(zoo_folder), ImageBank(dataset, "train", spec)
    with pytest.raises(ConfigError, match="no teacher was given"):
        fine_tune(spec, zoo.generic, zoo.class_names[:3], bank, TAUGHT, 0)
    with pytest.raises(ConfigError, match="no teacher was given"):
        _train_batched(spec, zoo.generic, [(0, 0, Task(zoo.class_names[:3]))], bank, TAUGHT)
