"""A recorded accuracy says what it was measured on, and is left out where it does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tina_framework.cli.accuracy_line import accuracy_line, recorded_accuracy


@dataclass
class Config:
    """The parts of a generator's configuration that count here."""

    splits: dict[str, float]
    dataset: str = "arrays:cifar100.npz"
    condition: dict[str, Any] = field(default_factory=dict)

    @property
    def training(self) -> dict[str, Any]:
        return {"dataset": self.dataset} if self.dataset else {}

    def accuracy(self, encoder: str, num_classes: int) -> dict[str, float]:
        return self.splits if (encoder, num_classes) == ("clip-lite", 2) else {}


CLOSED = Config({"unseen-combination": 0.9, "unseen-classes": 0.5})
OPEN = Config({"photographs of Caltech-101": 0.874}, dataset="", condition={"open_vocabulary": True})
APPLE, BEAR = ({"label": name, "texts": [name]} for name in ("apple", "bear"))
ZEBRA = {"label": "zebra", "texts": ["zebra"], "familiarity": 0.6, "nearest": "tiger"}


def line(config: Config, *prompts: dict[str, Any], warnings: tuple[str, ...] = ()) -> str:
    found = recorded_accuracy(config, "clip-lite", prompts, warnings)  # type: ignore[arg-type]
    return accuracy_line(found | {"class_names": [entry["label"] for entry in prompts]}, warnings)


def test_known_classes_have_the_figure_of_known_classes() -> None:
    assert line(CLOSED, APPLE, BEAR) == (
        "90.0 %, measured at 2 classes on test images of cifar100.npz (tasks that training never drew)"
    )


def test_a_class_that_it_was_not_trained_on_is_said() -> None:
    assert line(CLOSED, APPLE, ZEBRA) == (
        "90.0 %, measured at 2 classes on test images of cifar100.npz (tasks that training never drew), with names that it was "
        "trained on; 50.0 %, measured at 2 classes on test images of cifar100.npz (tasks of classes that it was not trained on), "
        "with names that it was trained on"
    )


def test_an_unfamiliar_class_leaves_the_figure_out() -> None:
    warnings = ("'zebra' resembles no class that the generator was trained on.",)
    assert recorded_accuracy(CLOSED, "clip-lite", [APPLE, ZEBRA], warnings) == {"accuracy": {}, "accuracy_of": {}}  # type: ignore[arg-type]
    assert line(CLOSED, APPLE, ZEBRA, warnings=warnings) == "unknown for these classes, see the warnings"


def test_with_an_open_vocabulary_any_words_count() -> None:
    assert line(OPEN, APPLE, ZEBRA) == "87.4 %, measured at 2 classes on photographs of Caltech-101"


@pytest.mark.parametrize("entry", [{**BEAR, "texts": ["a brown animal"]}, {**BEAR, "images": 3}])
def test_descriptions_and_pictures_have_the_figure_of_names(entry: dict[str, Any]) -> None:
    assert line(OPEN, APPLE, entry).endswith("on photographs of Caltech-101, with names")


def test_another_number_of_classes_was_not_measured() -> None:
    assert line(CLOSED, APPLE, BEAR, ZEBRA) == "not measured at 3 classes"
