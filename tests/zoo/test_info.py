"""`tina zoo info`: what it counts, what it measures, and that the linear map finds signal where there is some."""

from __future__ import annotations

import pytest
import torch

from tina_framework.errors import DataError
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.info import describe, linear_map, measure_signal, measure_test
from tina_framework.zoo.p_models import task_accuracy
from tina_framework.zoo.store import Zoo


def test_describe(zoo_folder):
    zoo = Zoo.open(zoo_folder)
    value = describe(zoo)
    assert value["models"] == 5
    assert sum(value["models by class count"].values()) == 5
    mean = sum(e.validation_accuracy for e in zoo.entries) / 5
    assert value["validation"]["p-models"] == pytest.approx(mean)


def test_measured_accuracies_are_fractions(zoo_folder, spec, dataset):
    zoo = Zoo.open(zoo_folder)
    value = measure_test(zoo, spec, dataset)
    assert 0 <= value["p-models"] <= 1
    assert value["gain"] == pytest.approx(value["p-models"] - value["selection"])
    # The generic model is the p-Model of all classes, as far as measuring goes.
    everything = task_accuracy(
        spec, spec.flatten(zoo.generic, 64), dataset.class_names, ImageBank(dataset, "test", spec)
    )
    assert value["generic"]["accuracy"] == pytest.approx(everything)


def test_signal_names_the_class_count(zoo_folder, spec, dataset):
    value = measure_signal(Zoo.open(zoo_folder), spec, dataset, num_tasks=5)
    assert value["class count"] in (3, 4)
    assert value["tasks"] == 5


class Shuffled:
    """The same data with its classes in another order."""

    def __init__(self, dataset):
        self._dataset = dataset
        self.name, self.class_names = dataset.name, tuple(reversed(dataset.class_names))
        self.superclasses, self.load = None, dataset.load


def test_classes_in_another_order_are_refused(zoo_folder, spec, dataset):
    for measure in (measure_test, measure_signal):
        with pytest.raises(DataError, match="or another order of them"):
            measure(Zoo.open(zoo_folder), spec, Shuffled(dataset))


class LinearZoo:
    """A zoo whose convolutions are a linear function of the class set, on purpose."""

    def __init__(self, spec, classes=12, models=60, count=4):
        draws = torch.Generator().manual_seed(0)
        self.class_names = tuple(f"c{i}" for i in range(classes))
        self.generic = {p.name: torch.randn(p.shape, generator=draws) for p in spec.parameters(classes)}
        self.effect = 0.1 * torch.randn(classes, 5040, generator=draws)
        self.entries, self._flats = [], {}
        for i in range(models):
            labels = torch.randperm(classes, generator=draws)[:count]
            self.entries.append(ZooEntry(i, tuple(self.class_names[k] for k in labels), 0, 0.0, 0.0))
            self._flats[i] = self.truth(spec, labels)

    def truth(self, spec, labels):
        flat = spec.flatten(spec.select_classes(self.generic, labels), len(labels)).clone()
        flat[:5040] += self.effect[labels].sum(0)
        return flat

    def flat(self, model_id):
        return self._flats[model_id]


def test_the_linear_map_recovers_a_linear_zoo(spec):
    zoo = LinearZoo(spec)
    labels = torch.tensor([0, 3, 7, 11])
    (flat,) = linear_map(zoo, spec, [tuple(zoo.class_names[k] for k in labels)], 4, ridge=1e-3)
    truth = zoo.truth(spec, labels)
    moved = (truth - spec.flatten(spec.select_classes(zoo.generic, labels), 4)).norm()
    assert float((flat - truth).norm() / moved) < 0.02


def test_the_generic_model_is_described_at_each_width(wide_zoo):
    shown = describe(Zoo.open(wide_zoo))["generic"]["validation_by_width"]
    assert set(shown) == {"0.5", "1", "1.25"}
    assert all(0 <= figures["accuracy"] <= 1 for figures in shown.values())
