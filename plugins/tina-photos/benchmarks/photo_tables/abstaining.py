"""How many photographs of other classes a classifier refuses, when it keeps 90 % of its right answers.

The threshold of a class count is set on the classes for choosing, and measured on the classes of the test. The rule is that of
`tina calibrate` (`tina_framework.evaluation.calibration`): over all tasks together, 90 % of the right answers stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from photo_tables.photographs import Photographs
from photo_tables.tasks import Logits, Task, draw_tasks
from tina_framework.classifier.abstention import abstention_scores
from tina_framework.evaluation.calibration.responses import Scored, figures, threshold_for

__all__ = ["COUNTS", "KEPT", "measure", "thresholds"]

COUNTS = (2, 3, 5, 10, 20)
KEPT = 0.9


def responses(method: Logits, tasks: Sequence[Task], classes: Sequence[int], photographs: Photographs) -> list[Scored]:
    """Return the scores of each task's classifier: on the photographs of its classes, and on those of the other `classes`."""
    found = []
    for task in tasks:
        rows, slots = photographs.rows(task)
        others, _ = photographs.rows([label for label in classes if label not in task])
        logits = method(task, photographs.features_NE[torch.cat([rows, others])])
        scores = abstention_scores(logits).numpy()
        right = (logits[: len(rows)].argmax(dim=1) == slots).numpy()
        found.append(Scored(scores[: len(rows)], right, scores[len(rows) :]))
    return found


def thresholds(
    method: Logits, classes: Sequence[int], photographs: Photographs, number: int, seed: int
) -> dict[int, float]:
    """Return class count -> threshold, set on random tasks of `classes`."""
    found = {}
    for count in COUNTS:
        tasks = draw_tasks(classes, count, number, seed)
        found[count] = round(threshold_for(responses(method, tasks, classes, photographs), KEPT), 4)
    return found


def measure(
    method: Logits,
    limits: dict[int, float],
    classes: Sequence[int],
    photographs: Photographs,
    number: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return what the thresholds do on random tasks of `classes`: one row for each class count."""
    rows = []
    for count, limit in limits.items():
        tasks = draw_tasks(classes, count, number, seed)
        found = figures(responses(method, tasks, classes, photographs), limit)
        rows.append({"num_classes": count, "num_tasks": len(tasks), **found})
    return rows
