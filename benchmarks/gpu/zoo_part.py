"""Part `zoo`: p-Models a second, by how many train together, and a whole zoo from the generic model to the index."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.gpu.device import peak_gb, reset_peak, synchronize
from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record
from benchmarks.script import REPOSITORY
from tina_framework.targets.device import resolve_device
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.build_plan import BuildPlan, plan_by_names
from tina_framework.zoo.builder import build_zoo
from tina_framework.zoo.generic_stage import read_generic
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import train_models
from tina_framework.zoo.recipe import read_recipe
from tina_framework.zoo.stages import build_generic, build_index, build_models
from tina_framework.zoo.store import Zoo

_SHIPPED = REPOSITORY / "examples" / "cifar100" / "zoo.toml"


def run(record: Record, setup: Setup) -> None:
    plan = record.attempt("generic model", lambda: _generic(record, setup))
    if plan is None:
        return
    for batch in setup.sizes.zoo_batches:
        record.attempt(f"{batch} together", partial(_together, record, setup, plan, batch))
    record.attempt("the stages", lambda: _stages(record, setup))


def _plan(setup: Setup, folder: Path, models: int, **changes: Any) -> BuildPlan:
    sizes = setup.sizes
    recipe = read_recipe(_SHIPPED, {"num_models": models, "shard_size": 64, **changes})
    recipe["generic"] = {**recipe["generic"], "epochs": sizes.generic_epochs}
    recipe["model"] = {**recipe["model"], "epochs": sizes.zoo_epochs}
    return plan_by_names(folder, f"arrays:{setup.data}", recipe, device=resolve_device("auto"))


def _generic(record: Record, setup: Setup) -> BuildPlan:
    """Train the generic model of a plan that has enough tasks of ten classes for the largest batch."""
    models = max(setup.sizes.zoo_batches)
    plan = _plan(setup, setup.work / "zoo-batches", models, class_counts={10: 1.0})
    began = time.perf_counter()
    build_generic(plan)
    synchronize()
    record.set("seconds an epoch of the generic model", (time.perf_counter() - began) / setup.sizes.generic_epochs)
    return plan


def _together(record: Record, setup: Setup, plan: BuildPlan, batch: int) -> None:
    """Train so many p-Models in one call."""
    generic = read_generic(plan)
    train = ImageBank(plan.dataset, plan.config.train_split, plan.spec, plan.device)
    validation = ImageBank(plan.dataset, "validation", plan.spec, plan.device)
    items = [(i, plan.config.model_seed(i), task) for i, task in enumerate(plan.tasks)][:batch]
    # The first call of a size chooses kernels, so a short one comes first.
    warm_up = SGDRecipe(**{**plan.config.model, "epochs": 0.2})
    train_models(plan.spec, generic, items, train, validation, warm_up)
    synchronize()
    reset_peak()
    began = time.perf_counter()
    models = train_models(plan.spec, generic, items, train, validation, SGDRecipe(**plan.config.model))
    synchronize()
    seconds = time.perf_counter() - began
    gain = fmean(entry.validation_accuracy - entry.selection_accuracy for entry, _ in models)
    record.set(
        f"{batch} together",
        {
            "models a second": round(len(models) / seconds, 3),
            "seconds": round(seconds, 3),
            "epochs": setup.sizes.zoo_epochs,
            "peak memory GB": peak_gb(),
            "mean gain over selection in points": round(100 * gain, 2),
        },
    )


def _stages(record: Record, setup: Setup) -> None:
    """Build a zoo of the shipped mix of class counts by `build_zoo`, and again by the three stages; compare them."""
    models = setup.sizes.zoo_models
    plan = _plan(setup, setup.work / "zoo", models)
    began = time.perf_counter()
    listed = build_zoo(plan)
    seconds = time.perf_counter() - began
    record.set("build_zoo", {"models": listed, "seconds": round(seconds, 2), "models a second": listed / seconds})
    other = _plan(setup, setup.work / "zoo-stages", models)
    build_generic(other, generic_from=plan.folder)
    build_models(other, range(other.config.num_shards))
    build_index(other)
    one, two = Zoo.open(plan.folder), Zoo.open(other.folder)
    worst = max(float((one.flat(e.id) - two.flat(e.id)).abs().max()) for e in one.entries)
    record.set("stages against build_zoo, largest difference", worst)
