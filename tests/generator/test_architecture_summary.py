"""Which architectures a generator writes, and which one fits into a budget."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.generator.conftest import ARCHITECTURES
from tina_framework.errors import ConfigError
from tina_framework.generator.architecture_summary import ArchitectureSummary, choose_architecture
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.generator import Generator


def test_sizes_and_accuracies_smallest_first(mixed: Generator) -> None:
    found = mixed.architectures
    assert list(found) == ["cnn-2layer@0.5", "cnn-3layer@0.5", "cnn-2layer"]
    assert found["cnn-2layer"] == ArchitectureSummary("cnn-2layer", 5040, 33, True, 0.5)
    assert found["cnn-2layer@0.5"] == ArchitectureSummary("cnn-2layer@0.5", 216 + 1152, 17, True, 0.6)
    assert (found["cnn-3layer@0.5"].trained, found["cnn-3layer@0.5"].accuracy) == (False, 0.7)
    for name, summary in found.items():
        for count in (2, 7):
            assert summary.num_parameters(count) == mixed.for_architecture(name).spec.num_parameters(count)
    assert mixed.for_architecture("cnn-3layer@0.5").architectures == found


def test_a_generator_of_one_architecture(tiny_generator: Generator) -> None:
    assert tiny_generator.architectures == {"cnn-2layer": ArchitectureSummary("cnn-2layer", 5040, 33, True, None)}
    config = dataclasses.replace(tiny_generator.config, training={"validation": {"accuracy": 0.75}})
    assert config.validation_accuracy("cnn-2layer") == 0.75


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [({"accuracy": 1}, 1.0), ({"accuracy": 1.5}, None), ({"accuracy": True}, None), ({"accuracy": "0.5"}, None),
     ({}, None), ("0.5", None), (None, None)],
)  # fmt: skip
def test_only_a_fraction_is_an_accuracy(mixed: Generator, recorded: Any, expected: float | None) -> None:
    entry = {"whitened": [], "trained": True, "validation": recorded}
    config: GeneratorConfig = dataclasses.replace(mixed.config, architectures={ARCHITECTURES[0]: entry})
    assert config.validation_accuracy(ARCHITECTURES[0]) == expected


def test_each_architecture_has_recorded_accuracies_of_its_own(mixed: Generator) -> None:
    assert [mixed.config.for_architecture(name).accuracy("toy", 3) for name in ARCHITECTURES] == [
        {"seen": 0.0}, {"seen": 0.25}, {"seen": 0.5}
    ]  # fmt: skip
    entry = {"whitened": [], "trained": True, "metrics": [1]}
    assert dataclasses.replace(mixed.config, architectures={"cnn-2layer": entry}).accuracy("toy", 3) == {}


SUMMARIES = {
    summary.name: summary
    for summary in (
        ArchitectureSummary("small", 100, 10, accuracy=0.6),
        ArchitectureSummary("middle", 200, 10, accuracy=0.8),
        ArchitectureSummary("large", 300, 20, accuracy=0.7),
        ArchitectureSummary("new", 400, 20),
    )
}


@pytest.mark.parametrize(
    ("budget", "classes", "expected"),
    [(10_000, 5, "middle"), (250, 5, "middle"), (249, 5, "small"), (250, 6, "small"), (150, 5, "small")],
)
def test_the_most_accurate_one_that_fits_is_chosen(budget: int, classes: int, expected: str) -> None:
    assert choose_architecture(SUMMARIES, classes, budget) == expected


def test_without_records_the_largest_one_is_chosen() -> None:
    unknown = {name: dataclasses.replace(summary, accuracy=None) for name, summary in SUMMARIES.items()}
    assert choose_architecture(unknown, 5, 10_000) == "new"
    assert choose_architecture(unknown, 5, 420) == "large"


def test_a_budget_below_all_of_them_is_refused_with_their_sizes() -> None:
    with pytest.raises(
        ConfigError,
        match=r"at most 149 parameters for 5 classes; the smallest is 'small' with 150\. All: small 150, middle 250, large 400",
    ):
        choose_architecture(SUMMARIES, 5, 149)
