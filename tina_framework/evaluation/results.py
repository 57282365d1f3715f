"""Turning single measurements into the rows of a report, and writing the files. Accuracies are fractions of 1."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_framework.errors import ConfigError
from tina_framework.evaluation.harness import MethodResult, TaskResult, group_of
from tina_framework.evaluation.result_tables import markdown
from tina_framework.evaluation.statistics import paired, summarize
from tina_framework.storage.files import replacing, to_json
from tina_framework.zoo.tasks import Task

__all__ = ["FILES", "FORMAT", "VERSION", "Results", "assemble", "check_output", "write_results", "write_together"]

FORMAT = "tina-evaluation"
VERSION = 1
FILES = ("results.json", "results.md", "tasks.json")
_REFERENCES = ("selection", "substitute")
"""What other methods are compared with. *substitute* also answers tasks with classes that *selection* has no row for."""


@dataclass(frozen=True)
class Results:
    """The contents of the files.

    Attributes:
        summary: ``results.json``: rows, paired differences, skipped methods, novelty, setup.
        tasks: ``tasks.json``: every task with the accuracy of each method.
    """

    summary: dict[str, Any]
    tasks: dict[str, Any]


def assemble(
    tasks: Sequence[Task],
    results: Sequence[MethodResult],
    setup: Mapping[str, Any],
    novelty: Mapping[str, Any] | None = None,
) -> Results:
    """Compute rows and paired differences of all methods.

    There are rows for each split. A split that mixes class counts also gets rows for each class count.
    """
    rows, differences = [], []
    for split, count, members in _groups(tasks):
        for result in results:
            row = _row(result, split, count, members, tasks)
            if row is not None:
                rows.append(row)
        for reference in results:
            if reference.label.partition("@")[0] in _REFERENCES:
                differences += _differences(results, reference, split, count, members)
    skipped = [
        {"method": result.label, "reason": reason} | ({} if split is None else {"split": split})
        for result in results
        for split, reason in result.skipped
    ]
    summary = {
        "format": FORMAT,
        "format_version": VERSION,
        "rows": rows,
        "paired": differences,
        "skipped": skipped,
        **({} if novelty is None else {"novelty": dict(novelty)}),
        "setup": dict(setup) | {"methods": {r.label: r.description for r in results if r.description}},
    }
    return Results(summary, {"tasks": [_task_entry(i, task, results) for i, task in enumerate(tasks)]})


def _groups(tasks: Sequence[Task]) -> list[tuple[str, int | None, list[int]]]:
    """Return (split, class count, task numbers).

    A split that mixes class counts comes first as a whole (count None), then by class count.
    """
    splits: dict[str, dict[int, list[int]]] = {}
    for i, task in enumerate(tasks):
        split, count = group_of(task)
        splits.setdefault(split, {}).setdefault(count, []).append(i)
    groups: list[tuple[str, int | None, list[int]]] = []
    for split, counts in splits.items():
        if len(counts) > 1:
            groups.append((split, None, sorted(i for members in counts.values() for i in members)))
        groups += [(split, count, counts[count]) for count in sorted(counts, reverse=True)]
    return groups


def _of(result: MethodResult, members: Sequence[int]) -> dict[int, TaskResult]:
    """Return the results of those tasks that have a network."""
    return {i: found for i in members if (found := result.tasks[i]) is not None}


def _row(
    result: MethodResult, split: str, count: int | None, members: Sequence[int], tasks: Sequence[Task]
) -> dict[str, Any] | None:
    found = _of(result, members)
    if not found:
        return None
    row: dict[str, Any] = {"method": result.label, "split": split, "num_tasks": len(found)}
    if count is not None:
        row["num_classes"] = count
    row["accuracy"] = summarize([task.accuracy for task in found.values()]).to_json()
    timings = [result.timings[group_of(tasks[i])] for i in found]
    row["seconds_per_model"] = sum(t.alone for t in timings) / len(timings)
    in_batch = [t.in_batch for t in timings if t.in_batch is not None]
    if len(in_batch) == len(timings):
        row["seconds_per_model_in_batch"] = sum(in_batch) / len(in_batch)
    # The peak of a row is known only if it is known for all its groups.
    groups = {group_of(tasks[i]) for i in found}
    row["peak_memory"] = max(result.memory[g] for g in groups) if groups <= result.memory.keys() else None
    sizes = {task.parameters for task in found.values()}
    row["parameters"] = sizes.pop() if len(sizes) == 1 else None
    return row


def _differences(
    results: Sequence[MethodResult], reference: MethodResult, split: str, count: int | None, members: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the difference of every other method from the reference, over the tasks that both have a network for."""
    base = _of(reference, members)
    found = []
    for result in results:
        own = _of(result, members)
        common = [i for i in members if i in base and i in own]
        if result is reference or not common:
            continue
        summary = paired([own[i].accuracy for i in common], [base[i].accuracy for i in common])
        entry: dict[str, Any] = {"method": result.label, "against": reference.label, "split": split}
        if count is not None:
            entry["num_classes"] = count
        found.append(entry | {"num_tasks": len(common), "difference": summary.to_json()})
    return found


def _task_entry(index: int, task: Task, results: Sequence[MethodResult]) -> dict[str, Any]:
    accuracy = {r.label: found.accuracy for r in results if (found := r.tasks[index]) is not None}
    return {"classes": list(task.classes), "split": task.split, "accuracy": accuracy}


def check_output(folder: Path, files: Sequence[str] = FILES) -> None:
    """Refuse an output folder that cannot take the files, before hours of work.

    Raises:
        ConfigError: the path is a file, or one of the files to be written is a folder.
    """
    existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not existing.is_dir():
        raise ConfigError(f"'{existing}' exists and is not a folder; choose another place with --out.")
    for name in files:
        if (folder / name).is_dir():
            raise ConfigError(
                f"'{folder / name}' is a folder, but a file of that name must be written; choose another place."
            )


def write_results(folder: Path, results: Results) -> None:
    """Write all of `FILES`, or none of them.

    Raises:
        ConfigError: the folder cannot be written.
    """
    texts = (to_json(results.summary), markdown(results.summary), to_json(results.tasks))
    write_together(folder, dict(zip(FILES, texts, strict=True)))


def write_together(folder: Path, texts: Mapping[str, str]) -> None:
    """Write text files, all of them or none.

    Args:
        folder: where to write; it is created if needed.
        texts: name of a file -> its contents.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        # All temporary files are written before the first one replaces an old file.
        with contextlib.ExitStack() as stack:
            for name, text in texts.items():
                stack.enter_context(replacing(folder / name)).write_text(
                    text, encoding="utf-8", errors="backslashreplace"
                )
    except OSError as error:
        raise ConfigError(
            f"The results cannot be written to '{folder}' ({error.strerror or error}); choose another place."
        ) from error
