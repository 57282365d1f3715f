"""Building a zoo in one call: the generic model, then the p-Models, shard by shard, then the index.

A stopped build continues when it is called again. One build at a time works on a folder: it holds the folder's lock.

Processes started by ``accelerate launch`` share the work through files; see `launch`. Shard s belongs to process s modulo
the number of processes. The first process trains the generic model and writes the index; the others wait for its
files. Inside one process, models are trained by `workers` CPU processes, or together on a GPU.

`stages` does the same in parts that wait for nothing, for tools that schedule them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from tina_framework.errors import ConfigError
from tina_framework.zoo.build_folder import clean, naming_the_zoo, remove_empty_models
from tina_framework.zoo.build_plan import BuildPlan, check_folder
from tina_framework.zoo.generic_stage import has_generic, make_generic, read_generic
from tina_framework.zoo.index import INDEX, write_index
from tina_framework.zoo.launch import PARTNER_SECONDS, Launch, Partners, sharing
from tina_framework.zoo.manifest import MANIFEST
from tina_framework.zoo.shard_builder import ShardBuilder
from tina_framework.zoo.shards import shard_path

__all__ = ["build_zoo"]


def build_zoo(
    plan: BuildPlan,
    *,
    generic_from: Path | None = None,
    wait: float = 0.0,
    partner_timeout: float = PARTNER_SECONDS,
    notify: Callable[[str], None] = lambda text: None,
) -> int:
    """Build the zoo, or what is missing of it.

    Args:
        plan: what to build and how; see `tina_framework.zoo.build_plan.plan_build`.
        generic_from: a zoo whose generic model is copied instead of training one. It must have been made with the same
            settings.
        wait: how many seconds to wait for another build in the folder to end.
        partner_timeout: how many seconds another process of the same launch may show no sign of work.
        notify: called with a sentence when this process has to wait.

    Returns:
        How many p-Models the index lists; for other processes than the first, how many their shards hold.

    Raises:
        ConfigError: another build uses the folder, or holds a zoo of other settings by now.
        CheckpointError: the folder's ``zoo.json`` or generic model was altered.
        TrainingError: a worker process died, or a process of the same launch ended or shows no sign of work.
    """
    for name, seconds in (("time to wait", wait), ("time limit for partners", partner_timeout)):
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ConfigError(f"The {name} is {seconds} seconds; give a number from 0 up.")
    launch, folder = Launch.from_environment(), plan.folder
    with naming_the_zoo(folder):
        builder = ShardBuilder(plan)
        mine = list(range(plan.config.num_shards))[launch.rank :: launch.world]
        if launch.rank and not builder.pending(mine):
            return builder.num_models(mine)  # there is nothing to write, so process 0 is not needed
        with sharing(folder, launch, wait=wait, timeout=partner_timeout, notify=notify) as partners:
            if launch.rank == 0:
                check_folder(folder, plan.config, plan.dataset)  # another build may have written while this one waited
                clean(folder)
            try:
                return _run(plan, builder, mine, launch, partners, generic_from)
            finally:
                if launch.rank == 0:
                    clean(folder)
                    remove_empty_models(folder)


def _run(
    plan: BuildPlan,
    builder: ShardBuilder,
    mine: list[int],
    launch: Launch,
    partners: Partners,
    generic_from: Path | None,
) -> int:
    """Do the part of one process. `mine` are its shards."""
    folder = plan.folder
    if launch.rank == 0 and not has_generic(plan):
        make_generic(plan, generic_from)
        clean(folder)
    partners.wait(0, "the generic model", folder / MANIFEST, lambda: has_generic(plan))
    if launch.rank:
        check_folder(folder, plan.config, plan.dataset)
    generic = read_generic(plan)

    pending = builder.pending(mine)
    builder.remove_models([shard for shard in mine if shard not in pending])
    total = builder.num_models(mine)
    done = total - sum(len(ids) for ids in pending.values())
    plan.progress("models", done, total)

    def report() -> None:
        nonlocal done
        partners.check()
        done += 1
        plan.progress("models", done, total)

    for _ in builder.build(pending, generic, report):
        pass
    if launch.rank:
        partners.check_leader(folder / INDEX)
        return total
    for shard in range(plan.config.num_shards):
        if shard not in mine:
            owner = shard % launch.world
            partners.wait(owner, f"shard {shard}", shard_path(folder, shard), builder.becomes_complete(shard))
    listed = write_index(folder, plan.config)
    plan.transfer.send(folder / INDEX)
    return listed
