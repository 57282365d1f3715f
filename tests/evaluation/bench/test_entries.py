"""An entry of a bench survives its file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tina_framework.errors import CheckpointError
from tina_framework.evaluation.bench.entries import BenchEntry
from tina_framework.evaluation.harness import MethodResult, TaskResult, Timing

SPLIT = "unseen-combination"


def entry(label: str = "tina", accuracies: tuple[float | None, ...] = (0.5, None), **more: Any) -> BenchEntry:
    result = MethodResult(
        label,
        "two steps",
        [None if accuracy is None else TaskResult(accuracy, 7) for accuracy in accuracies],
        {(SPLIT, 3): Timing(0.25, 0.125)},
        {(SPLIT, 3): 1000},
        [(SPLIT, "one task left out")],
    )
    return BenchEntry(
        result, "fake 1.0", {"paper": "A paper"}, {"ratio": 0.5}, {"reason": "no zoo"}, 3.14, "2026-11-28", **more
    )


def test_json_gives_back_the_entry() -> None:
    made = entry()
    value = json.loads(json.dumps(made.to_json()))
    again = BenchEntry.from_json(value)
    assert again.to_json() == made.to_json()
    assert again.result == made.result
    assert again.has_networks


def test_without_batches_and_memory() -> None:
    made = entry(accuracies=(None,))
    made.result.timings, made.result.memory = {(SPLIT, 3): Timing(0.5)}, {}
    again = BenchEntry.from_json(made.to_json())
    assert (again.result.timings, again.result.memory, again.has_networks) == (made.result.timings, {}, False)


@pytest.mark.parametrize(
    "value", [None, [], {}, {**entry().to_json(), "tasks": 3}, {**entry().to_json(), "groups": [{}]}]
)
def test_damage_is_named(value: Any) -> None:
    with pytest.raises(CheckpointError, match="an entry of a method is damaged"):
        BenchEntry.from_json(value)
