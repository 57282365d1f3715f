"""p-Models: the generic model fine-tuned on one task."""

from __future__ import annotations

import pytest
import torch

from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo import p_models
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import fine_tune, network, start_of, task_accuracy, train_models
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

RECIPE = SGDRecipe(epochs=2, batch_size=16, lr=0.05, precision="fp32")


@pytest.fixture(scope="module")
def zoo(zoo_folder):
    return Zoo.open(zoo_folder)


@pytest.fixture(scope="module")
def bank(dataset, spec):
    return ImageBank(dataset, "validation", spec)


def test_the_start_is_the_generic_model_with_the_tasks_rows(spec, zoo):
    start = start_of(spec, zoo.generic, [4, 1])
    assert torch.equal(start["fc.bias"], zoo.generic["fc.bias"][[4, 1]])
    assert torch.equal(start["conv1.weight"], zoo.generic["conv1.weight"])


def test_a_network_has_the_given_parameters(spec, zoo):
    flat = zoo.flat(0)
    module = network(spec, flat, len(zoo.entries[0].classes))
    assert torch.equal(spec.flatten(dict(module.named_parameters()), len(zoo.entries[0].classes)).detach(), flat)


def test_models_are_trained_and_measured_one_by_one_on_a_cpu(spec, zoo, bank):
    task = Task(zoo.entries[0].classes)
    ((entry, flat),) = train_models(spec, zoo.generic, [(9, 3, task)], bank, bank, RECIPE)
    assert torch.equal(flat, fine_tune(spec, zoo.generic, task.classes, bank, RECIPE, 3))
    assert (entry.id, entry.seed, entry.classes) == (9, 3, task.classes)
    assert entry.validation_accuracy == task_accuracy(spec, flat, task.classes, bank)


def test_models_trained_together_are_those_trained_alone(spec, zoo, bank):
    tasks = [
        (i, i, Task(zoo.class_names[first : first + count]))
        for i, (first, count) in enumerate([(0, 3), (2, 4), (5, 3)])
    ]
    together = p_models._train_batched(spec, zoo.generic, tasks, bank, RECIPE)
    for (_, seed, task), flat in zip(tasks, together, strict=True):
        alone = fine_tune(spec, zoo.generic, task.classes, bank, RECIPE, seed)
        torch.testing.assert_close(flat, alone, rtol=1e-3, atol=1e-4)
