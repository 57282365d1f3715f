"""The prompt suite from start to end: variants of prompts, class order, class counts, similar classes, familiarity."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from tina_framework import __version__
from tina_framework.evaluation.calibration.familiarity_check import measure_familiarity
from tina_framework.evaluation.environment import busy_warning, describe_machine, now
from tina_framework.evaluation.paths import without_folders
from tina_framework.evaluation.statistics import paired, summarize
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer, SuiteRequest
from tina_framework.evaluation.suite.prompt_variants import PromptVariant, prompt_variants
from tina_framework.interfaces.encoder import ImageEncoder
from tina_framework.prompts.synonyms import SYNONYM_GROUPS
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.splits import sample_split_tasks

__all__ = ["FORMAT", "run_suite"]

FORMAT = "tina-prompt-suite"

Advance = Callable[[str, int, int], None]
"""(what is being measured, tasks done, tasks in all)."""

Tasks = list[tuple[str, ...]]


def run_suite(request: SuiteRequest, advance: Advance | None = None) -> dict[str, Any]:
    """Measure everything that ``prompts.json`` holds. Accuracies are fractions of 1.

    Args:
        request: what to measure.
        advance: called as work proceeds.

    Raises:
        TinaError: something cannot be loaded, or the data set has too few classes or images.
    """
    busy = busy_warning()
    measurer = PromptMeasurer(request)
    variants = prompt_variants(
        descriptions=bool(measurer.material.descriptions),
        pictures=isinstance(measurer.encoder, ImageEncoder),
        synonyms=other_words(measurer.known),
    )
    names = variants[0]
    counts = range(2, measurer.generator.config.denoiser.max_classes + 1)
    # Tasks of known classes only: unseen classes are measured separately, as familiarity.
    tasks = draw(measurer, request.num_classes, request.num_tasks)
    total = len(tasks) * len(variants) + len(counts) * request.num_tasks + 2 * len(tasks)
    done = 0

    def step(label: str) -> Callable[[int], None]:
        def forward(number: int) -> None:
            nonlocal done
            done += number
            if advance is not None:
                advance(label, min(done, total), total)

        return forward

    rows: list[dict[str, Any]] = []
    plain: list[float] = []
    for variant in variants:
        found, _ = measurer.measure(tasks, variant, step(variant.label))
        plain = plain or found  # the first variant is plain names, the reference of all differences
        rows.append(
            {
                "variant": variant.label,
                "group": variant.group,
                "num_tasks": len(tasks),
                "accuracy": summarize(found).to_json(),
                "minus_names": paired(found, plain).to_json(),
                "of_names": summarize(found).mean / summarize(plain).mean,
            }
        )
    result = {
        "format": FORMAT,
        "format_version": 1,
        "variants": rows,
        "order": order(measurer, tasks, variants, step("class order")),
        "class_counts": [class_count(measurer, names, count, step(f"{count} classes")) for count in counts],
        "similar_classes": similar(measurer, names, step("similar classes")),
    }
    if measurer.unseen:
        result["familiarity"] = measure_familiarity(
            measurer, variants, lambda label: advance and advance(label, total, total)
        )
    return result | {"setup": setup(measurer, busy)}


def other_words(known: Sequence[str]) -> dict[str, str]:
    """Return a synonym from the package's table for each class that has one.

    A synonym must not be the name of another class.
    """
    found: dict[str, str] = {}
    for group in SYNONYM_GROUPS:
        others = [word for word in group if word not in known]
        found |= {name: others[0] for name in group if name in known and others}
    return found


def draw(measurer: PromptMeasurer, count: int, number: int) -> Tasks:
    """Return reserved tasks of the known classes."""
    tasks = sample_split_tasks(
        measurer.dataset,
        "validation" if measurer.request.image_split == "validation" else "unseen-combination",
        count,
        number,
        seed=measurer.request.task_seed,
        held_out=measurer.unseen,
        allow_fewer=True,
    )
    return [task.classes for task in tasks]


def order(
    measurer: PromptMeasurer, tasks: Tasks, variants: Sequence[PromptVariant], forward: Callable[[int], None]
) -> dict[str, Any]:
    """Measure how much networks change when the classes come in another order.

    Returns:
        The share of equal answers, and the greatest difference of a parameter.
    """
    variant = next((variant for variant in variants if variant.group == "mixed"), variants[0])
    same, most = [], 0.0
    for number, task in enumerate(tasks):
        (condition,) = measurer.conditions([task], variant, number)
        places = list(range(len(task)))
        random.Random(f"{measurer.request.seed}/order/{number}").shuffle(places)
        shuffled = type(condition)(
            tuple(condition.class_names[i] for i in places),
            tuple(condition.keys[i] for i in places),
            condition.vectors[places],
        )
        first, second = measurer.networks([condition])[0], measurer.networks([shuffled])[0]
        spec = measurer.generator.spec
        # The outputs are put back into the first order, so that equal networks have equal parameters.
        back = spec.select_classes(
            spec.unflatten(second, len(task)), torch.tensor([places.index(i) for i in range(len(task))])
        )
        most = max(most, float((spec.flatten(back, len(task)) - first).abs().max()))
        images = measurer.scorer.bank.images[measurer.scorer.bank.rows(task)[0]]
        answers = [measurer.scorer.answers(flat, len(task), images) for flat in (first, spec.flatten(back, len(task)))]
        same.append(float((answers[0] == answers[1]).double().mean()))
        forward(1)
    return {
        "variant": variant.label,
        "num_tasks": len(tasks),
        "same_answers": float(np.mean(same)),
        "greatest_difference": most,
    }


def class_count(
    measurer: PromptMeasurer, names: PromptVariant, count: int, forward: Callable[[int], None]
) -> dict[str, Any]:
    """Measure plain names on tasks of one class count, beside *selection*."""
    tasks = draw(measurer, count, measurer.request.num_tasks)
    found, _ = measurer.measure(tasks, names, forward)
    return {"num_classes": count, "num_tasks": len(tasks), **beside_selection(measurer, tasks, found)}


def beside_selection(measurer: PromptMeasurer, tasks: Tasks, found: list[float]) -> dict[str, Any]:
    """Return the accuracy `found` and, where *selection* can be measured, its accuracy and the paired difference."""
    selection = measurer.selection(tasks)
    against = {} if selection is None else {
        "selection": summarize(selection).to_json(),
        "minus_selection": paired(found, selection).to_json(),
    }  # fmt: skip
    return {"accuracy": summarize(found).to_json(), **against}


def similar(measurer: PromptMeasurer, names: PromptVariant, forward: Callable[[int], None]) -> dict[str, Any] | None:
    """Measure plain names on tasks with three classes of one superclass ("rose", "tulip", "poppy").

    None if the data set has no superclasses, or no such task is found.
    """
    superclasses, classes = measurer.dataset.superclasses, measurer.dataset.class_names
    if superclasses is None or len(set(superclasses)) < 2 or measurer.request.num_classes < 4:
        return None
    groups: dict[int, list[str]] = {}
    for name, superclass in zip(classes, superclasses, strict=True):
        if name in measurer.known:
            groups.setdefault(superclass, []).append(name)
    large = [group for group in groups.values() if len(group) >= 3]
    wanted = "validation" if measurer.request.image_split == "validation" else "test"
    draws = random.Random(f"{measurer.request.task_seed}/similar")
    tasks: Tasks = []
    for _ in range(100 * measurer.request.num_tasks):
        if len(tasks) == measurer.request.num_tasks or not large:
            break
        group = draws.choice(large)
        others = [name for name in measurer.known if name not in group]
        if len(others) < measurer.request.num_classes - 3:
            return None
        task = (*draws.sample(group, 3), *draws.sample(others, measurer.request.num_classes - 3))
        if partition_of(task) == wanted:
            tasks.append(task)
    if not tasks:
        return None
    found, _ = measurer.measure(tasks, names, forward)
    return {
        "num_classes": measurer.request.num_classes,
        "num_tasks": len(tasks),
        **beside_selection(measurer, tasks, found),
    }


def setup(measurer: PromptMeasurer, busy: str | None) -> dict[str, Any]:
    """Return how the suite was run: command, model, seeds, machine and date."""
    request = measurer.request
    return {
        "command": request.command,
        "model": without_folders(request.model),
        "dataset": measurer.dataset.name if not isinstance(request.dataset, str) else without_folders(request.dataset),
        "encoder": without_folders(measurer.encoder.name),
        "image_split": request.image_split,
        "pictures_shown": "validation images"
        if request.image_split == "test"
        else "first half of the validation images",
        "seed": request.seed,
        "task_seed": request.task_seed,
        "warnings": [busy] if busy else [],
        "machine": describe_machine(measurer.generator.device),
        "package_version": __version__,
        "date": now(),
    }
