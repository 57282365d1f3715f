"""What a bench keeps of each method, as JSON values, so that a run that was cut goes on with the next method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tina_framework.errors import CheckpointError
from tina_framework.evaluation.harness import MethodResult, TaskResult, Timing

__all__ = ["BenchEntry"]


@dataclass
class BenchEntry:
    """One measured method.

    Attributes:
        result: accuracies, times and memory.
        package: the distribution that registered it, and its version; empty for a method of the running program.
        about: the texts ``paper``, ``differs`` and ``tuning`` that the method gives; those that are not empty.
        sensitivity: what `measure_sensitivity` returns, or ``{"reason": ...}``.
        novelty: ``num_tasks``, ``models``, ``errors_nearest``, ``to_nearest`` and ``between_models``, or ``{"reason": ...}``.
        seconds: how long everything took, accuracies and the additional columns included.
        date: when it was measured, UTC.
        source: a digest of the folder or file that the method's argument names; empty if it names none.
    """

    result: MethodResult
    package: str = ""
    about: dict[str, str] = field(default_factory=dict)
    sensitivity: dict[str, Any] = field(default_factory=dict)
    novelty: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    date: str = ""
    source: str = ""

    @property
    def has_networks(self) -> bool:
        """Whether the method has a network for any task."""
        return any(task is not None for task in self.result.tasks)

    def to_json(self) -> dict[str, Any]:
        result = self.result
        groups = [
            {"split": split, "num_classes": count, "seconds": timing.alone}
            | ({} if timing.in_batch is None else {"seconds_in_batch": timing.in_batch})
            | ({"peak_memory": result.memory[split, count]} if (split, count) in result.memory else {})
            for (split, count), timing in result.timings.items()
        ]
        return {
            "method": result.label,
            "package": self.package,
            "source": self.source,
            "description": result.description,
            "about": self.about,
            "date": self.date,
            "seconds": round(self.seconds, 1),
            "groups": groups,
            "skipped": [[split, reason] for split, reason in result.skipped],
            "sensitivity": self.sensitivity,
            "novelty": self.novelty,
            "tasks": [None if task is None else [task.accuracy, task.parameters] for task in result.tasks],
        }

    @classmethod
    def from_json(cls, value: Any) -> BenchEntry:
        """Return the entry that `to_json` described.

        Raises:
            CheckpointError: the values are none of an entry.
        """
        try:
            return cls(
                _result(value),
                str(value["package"]),
                {str(key): str(text) for key, text in value["about"].items()},
                dict(value["sensitivity"]),
                dict(value["novelty"]),
                float(value["seconds"]),
                str(value["date"]),
                str(value["source"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"an entry of a method is damaged ({type(error).__name__}: {error})") from None


def _result(value: Mapping[str, Any]) -> MethodResult:
    groups = {(str(group["split"]), int(group["num_classes"])): group for group in value["groups"]}
    return MethodResult(
        label=str(value["method"]),
        description=str(value["description"]),
        tasks=[None if task is None else TaskResult(float(task[0]), int(task[1])) for task in value["tasks"]],
        timings={
            key: Timing(
                float(group["seconds"]), float(group["seconds_in_batch"]) if "seconds_in_batch" in group else None
            )
            for key, group in groups.items()
        },
        memory={key: int(group["peak_memory"]) for key, group in groups.items() if "peak_memory" in group},
        skipped=[(None if split is None else str(split), str(reason)) for split, reason in value["skipped"]],
    )
