"""The suite on noise: what is measured, and on which tasks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import TOY_CLASSES
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer
from tina_framework.evaluation.suite.prompt_suite import run_suite
from tina_framework.zoo.reservation import partition_of


def test_the_suite_measures_what_it_says(suite_request: Any) -> None:
    result = run_suite(suite_request())
    names = result["variants"][0]
    assert names["variant"] == "names"
    assert names["minus_names"]["mean"] == 0
    assert {row["group"] for row in result["variants"]} == {"text", "pictures", "mixed"}
    # Known names in capitals are the same prompts; so are the classes in another order.
    assert result["variants"][1]["accuracy"] == names["accuracy"]
    assert result["order"]["same_answers"] == 1.0
    assert [row["num_classes"] for row in result["class_counts"]] == list(range(2, 11))
    assert all("minus_selection" in row for row in result["class_counts"])
    assert {row["variant"] for row in result["familiarity"]} >= {"names", "1 picture", "20 pictures"}
    assert result["familiarity"][0]["auroc"] == 1.0  # known names are known, yak and zebu are not


def test_tasks_are_reserved_and_of_known_classes(suite_request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []
    measure = PromptMeasurer.measure

    def watch(self: PromptMeasurer, tasks: Any, *rest: Any, **more: Any) -> Any:
        seen.extend(tuple(task) for task in tasks)
        return measure(self, tasks, *rest, **more)

    monkeypatch.setattr(PromptMeasurer, "measure", watch)
    run_suite(suite_request(image_split="validation"))
    assert seen
    assert {partition_of(task) for task in seen} == {"validation"}
    unseen = [set(task) - set(TOY_CLASSES) for task in seen]
    assert {len(classes) for classes in unseen} == {0, 2}  # 0, 2, ... unseen classes, of the two there are
