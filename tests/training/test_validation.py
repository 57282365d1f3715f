from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.training.components import TrainingComponents, build_components
from tina_framework.training.export import make_generator
from tina_framework.training.validation import ValidationResult, Validator, mean_over, other_counts
from tina_framework.zoo.p_models import network
from tina_framework.zoo.reservation import partition_of

Make = Callable[..., TrainingConfig]


@pytest.fixture
def components(make_config: Make) -> TrainingComponents:
    return build_components(make_config(num_validation_tasks=6), torch.device("cpu"))


@pytest.mark.parametrize(
    ("counts", "others"), [([10], []), ([10, 5], [5]), ([3, 5, 10], [3, 5]), ([2, 3, 4, 5, 6, 10], [2, 4])]
)
def test_which_counts_are_validated_besides_the_greatest(counts: list[int], others: list[int]) -> None:
    assert other_counts(counts) == others


def test_tasks_are_reserved_for_validation_and_shared_out(components: TrainingComponents) -> None:
    everything = Validator(components).mine
    assert {partition_of(task.classes) for task in everything} == {"validation"}
    assert [len(task.classes) for task in everything].count(4) == 6
    assert [len(task.classes) for task in everything].count(3) == 2
    halves = [Validator(components, process, 2).mine for process in (0, 1)]
    assert sorted(t.classes for half in halves for t in half) == sorted(t.classes for t in everything)


def test_selection_is_the_generic_model_with_the_rows_of_the_task(components: TrainingComponents) -> None:
    validator = Validator(components)
    task = validator.mine[0]
    rows = [components.seen_classes.index(name) for name in task.classes]
    state = {name: t if name.startswith("conv") else t[rows] for name, t in components.generic.items()}
    module = network(components.spec, components.spec.flatten(state, 4), 4)
    picked, slots = validator.images.rows(task.classes)
    images = validator.images.images[picked]
    with torch.no_grad():
        expected = float((module(images).argmax(1) == slots).double().mean())
    assert validator.selection[0] == pytest.approx(expected)
    assert len(images) == 4 * 2  # the last tenth of 20 images a class


def test_a_generator_that_gives_the_generic_rows_scores_as_selection(components: TrainingComponents) -> None:
    validator = Validator(components)
    generator = make_generator(components, components.denoiser)
    true = [validator._selected(task) for task in validator.mine]
    generator.generate_parameters = lambda conditions: true  # type: ignore[method-assign, assignment]
    result = validator.summarize(validator.measure(generator))
    assert result.accuracy == result.selection
    assert (result.difference, result.standard_error) == (0.0, 0.0)


def test_figures_are_paired_and_by_count(components: TrainingComponents) -> None:
    result = Validator(components).summarize([(4, 0.5, 0.4), (4, 0.7, 0.4), (3, 0.9, 0.8)])
    assert result.accuracy == pytest.approx(0.6)
    assert result.selection == pytest.approx(0.4)
    assert result.difference == pytest.approx(0.2)
    assert result.standard_error == pytest.approx(0.1)
    assert result.num_tasks == 2
    assert result.to_json()["by_count"]["3"]["difference"] == pytest.approx(0.1)


def test_measuring_leaves_the_global_generator_alone(components: TrainingComponents) -> None:
    before = torch.get_rng_state()
    Validator(components).measure(make_generator(components, components.denoiser))
    assert torch.equal(before, torch.get_rng_state())


def test_class_counts_without_reserved_sets_are_validated_on_training_tasks(make_config: Make) -> None:
    config = make_config(class_counts="12:1,11:1,4:1", max_classes=12, images_per_task=12, num_validation_tasks=6)
    tasks = Validator(build_components(config, torch.device("cpu"))).mine
    assert [len(task.classes) for task in tasks] == [12, *[4] * 2, *[11] * 2]
    assert {partition_of(task.classes) for task in tasks if len(task.classes) == 4} == {"validation"}


def result(accuracy: float, selection: float, error: float) -> ValidationResult:
    difference = accuracy - selection
    row = {"accuracy": accuracy, "selection": selection, "difference": difference, "standard_error": error}
    return ValidationResult(accuracy, selection, difference, error, 6, {4: row})


def test_the_mean_counts_trained_architectures_only() -> None:
    results = {"a": result(0.5, 0.4, 0.02), "b": result(0.9, 0.1, 0.5), "c": result(0.7, 0.2, 0.04)}
    mean = mean_over(results, ["a", "c"], {"b": {"filters": 0.3, "rows": 0.5}})
    assert mean.accuracy == mean.by_count[4]["accuracy"] == pytest.approx(0.6)
    assert mean.selection == pytest.approx(0.3)
    assert mean.difference == pytest.approx(0.3)
    # Cautious: the architectures have the same tasks, so their errors may be alike.
    assert mean.standard_error == pytest.approx(0.03)
    assert mean.num_tasks == 6
    shares = {"shares": {"filters": 0.3, "rows": 0.5}}
    assert mean.by_architecture == {n: one.to_json() | (shares if n == "b" else {}) for n, one in results.items()}
    assert ValidationResult.from_json(json.loads(json.dumps(mean.to_json()))) == mean


def test_the_result_of_one_architecture_is_its_own() -> None:
    one = result(0.5, 0.4, 0.02)
    assert mean_over({"a": one}, ["a"], {}) is one
    assert "by_architecture" not in one.to_json()
    assert ValidationResult.from_json(json.loads(json.dumps(one.to_json()))) == one
