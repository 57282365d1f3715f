"""The prompt suite from start to end: ways of saying, order, class counts, similar classes, familiarity."""

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
    """Everything, as ``prompts.json`` has it. Accuracies are fractions of 1.

    Args:
        request: what is measured.
        advance: called as work proceeds.

    Raises:
        TinaError: something cannot be loaded, or the data set has too few classes or images.
    """
    busy = busy_warning()
    world = PromptMeasurer(request)
    ways = prompt_variants(
        descriptions=bool(world.speaker.descriptions),
        pictures=isinstance(world.encoder, ImageEncoder),
        synonyms=other_words(world.known),
    )
    names = ways[0]
    counts = range(2, world.generator.config.denoiser.max_classes + 1)
    # Of the known classes alone: what strange ones do is measured apart.
    tasks = draw(world, request.num_classes, request.num_tasks)
    total = len(tasks) * len(ways) + len(counts) * request.num_tasks + 2 * len(tasks)
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
    for way in ways:
        found, _ = world.measure(tasks, way, step(way.label))
        plain = plain or found
        rows.append(
            {
                "variant": way.label,
                "group": way.group,
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
        "order": order(world, tasks, ways, step("class order")),
        "class_counts": [class_count(world, names, count, step(f"{count} classes")) for count in counts],
        "similar_classes": similar(world, names, step("similar classes")),
    }
    if world.strange:
        result["familiarity"] = measure_familiarity(world, ways, lambda label: advance and advance(label, total, total))
    return result | {"setup": setup(world, busy)}


def other_words(known: Sequence[str]) -> dict[str, str]:
    """Class name -> a synonym of the package's table, for the classes that have one which is no class itself."""
    found: dict[str, str] = {}
    for group in SYNONYM_GROUPS:
        others = [word for word in group if word not in known]
        found |= {name: others[0] for name in group if name in known and others}
    return found


def draw(world: PromptMeasurer, count: int, number: int) -> Tasks:
    """Reserved tasks of the known classes."""
    tasks = sample_split_tasks(
        world.dataset,
        "validation" if world.request.image_split == "validation" else "unseen-combination",
        count,
        number,
        seed=world.request.task_seed,
        held_out=world.strange,
        allow_fewer=True,
    )
    return [task.classes for task in tasks]


def order(
    world: PromptMeasurer, tasks: Tasks, ways: Sequence[PromptVariant], forward: Callable[[int], None]
) -> dict[str, Any]:
    """How far networks change when the classes come in another order: share of equal answers, greatest difference of a parameter."""
    way = next((way for way in ways if way.group == "mixed"), ways[0])
    same, most = [], 0.0
    for number, task in enumerate(tasks):
        (condition,) = world.conditions([task], way, number)
        places = list(range(len(task)))
        random.Random(f"{world.request.seed}/order/{number}").shuffle(places)
        shuffled = type(condition)(
            tuple(condition.class_names[i] for i in places),
            tuple(condition.keys[i] for i in places),
            condition.vectors[places],
        )
        first, second = world.networks([condition])[0], world.networks([shuffled])[0]
        spec = world.generator.spec
        back = spec.select_classes(
            spec.unflatten(second, len(task)), torch.tensor([places.index(i) for i in range(len(task))])
        )
        most = max(most, float((spec.flatten(back, len(task)) - first).abs().max()))
        images = world.scorer.bank.images[world.scorer.bank.rows(task)[0]]
        answers = [world.scorer.answers(flat, len(task), images) for flat in (first, spec.flatten(back, len(task)))]
        same.append(float((answers[0] == answers[1]).double().mean()))
        forward(1)
    return {
        "variant": way.label,
        "num_tasks": len(tasks),
        "same_answers": float(np.mean(same)),
        "greatest_difference": most,
    }


def class_count(
    world: PromptMeasurer, names: PromptVariant, count: int, forward: Callable[[int], None]
) -> dict[str, Any]:
    """Accuracy of names at one class count, beside *selection*."""
    tasks = draw(world, count, world.request.num_tasks)
    found, _ = world.measure(tasks, names, forward)
    return {"num_classes": count, "num_tasks": len(tasks), **beside_selection(world, tasks, found)}


def beside_selection(world: PromptMeasurer, tasks: Tasks, found: list[float]) -> dict[str, Any]:
    selection = world.selection(tasks)
    against = {} if selection is None else {
        "selection": summarize(selection).to_json(),
        "minus_selection": paired(found, selection).to_json(),
    }  # fmt: skip
    return {"accuracy": summarize(found).to_json(), **against}


def similar(world: PromptMeasurer, names: PromptVariant, forward: Callable[[int], None]) -> dict[str, Any] | None:
    """Names on tasks with three classes of one superclass ("rose", "tulip", "poppy"); None where there are no superclasses."""
    superclasses, classes = world.dataset.superclasses, world.dataset.class_names
    if superclasses is None or len(set(superclasses)) < 2 or world.request.num_classes < 4:
        return None
    groups: dict[int, list[str]] = {}
    for name, superclass in zip(classes, superclasses, strict=True):
        if name in world.known:
            groups.setdefault(superclass, []).append(name)
    large = [group for group in groups.values() if len(group) >= 3]
    wanted = "validation" if world.request.image_split == "validation" else "test"
    draws = random.Random(f"{world.request.task_seed}/similar")
    tasks: Tasks = []
    for _ in range(100 * world.request.num_tasks):
        if len(tasks) == world.request.num_tasks or not large:
            break
        group = draws.choice(large)
        others = [name for name in world.known if name not in group]
        if len(others) < world.request.num_classes - 3:
            return None
        task = (*draws.sample(group, 3), *draws.sample(others, world.request.num_classes - 3))
        if partition_of(task) == wanted:
            tasks.append(task)
    if not tasks:
        return None
    found, _ = world.measure(tasks, names, forward)
    return {"num_classes": world.request.num_classes, "num_tasks": len(tasks), **beside_selection(world, tasks, found)}


def setup(world: PromptMeasurer, busy: str | None) -> dict[str, Any]:
    request = world.request
    return {
        "command": request.command,
        "model": without_folders(request.model),
        "dataset": world.dataset.name if not isinstance(request.dataset, str) else without_folders(request.dataset),
        "encoder": without_folders(world.encoder.name),
        "image_split": request.image_split,
        "pictures_shown": "validation images"
        if request.image_split == "test"
        else "first half of the validation images",
        "seed": request.seed,
        "task_seed": request.task_seed,
        "warnings": [busy] if busy else [],
        "machine": describe_machine(world.generator.device),
        "package_version": __version__,
        "date": now(),
    }
