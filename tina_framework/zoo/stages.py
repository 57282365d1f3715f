"""The stages of a build, for tools that schedule and repeat them: arrays of SLURM, tasks of Ray, and so on.

`build_generic` comes first, then `build_models` for all shards in any order and at the same time, then `build_index`.
Each stage skips finished work, and none waits for another process: what is missing is named in an error. A killed stage
leaves nothing that hinders the next try.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tina_framework.errors import ConfigError
from tina_framework.storage.locks import folder_lock
from tina_framework.zoo.build_folder import clean, naming_the_zoo, remove_empty_models
from tina_framework.zoo.build_plan import BuildPlan, check_folder
from tina_framework.zoo.generic_stage import has_generic, make_generic, read_generic
from tina_framework.zoo.index import INDEX, write_index
from tina_framework.zoo.shard_builder import ShardBuilder
from tina_framework.zoo.shard_numbers import in_words, option_for

__all__ = ["build_generic", "build_index", "build_models"]


def build_generic(
    plan: BuildPlan,
    *,
    generic_from: Path | None = None,
    wait: float = 0.0,
    notify: Callable[[str], None] = lambda text: None,
) -> None:
    """Train the generic model, and write ``zoo.json``. A stopped training continues at the epoch that it had reached.

    Args:
        plan: the build.
        generic_from: a zoo whose generic model is copied instead of training one. It must have been made with the same
            settings.
        wait: how many seconds to wait for another build that holds the folder's lock.
        notify: called with a sentence when this process has to wait.

    Raises:
        ConfigError: another build uses the folder; or `generic_from` was made with other settings.
        CheckpointError: the folder's generic model was altered.
        TrainingError: the folder cannot be written.
    """
    with naming_the_zoo(plan.folder):
        if not has_generic(plan):
            with folder_lock(plan.folder, "builds a zoo", timeout=wait, notify=notify):
                clean(plan.folder)
                # Another build may have written it while this one waited.
                check_folder(plan.folder, plan.config, plan.dataset)
                if not has_generic(plan):
                    make_generic(plan, generic_from)
        clean(plan.folder)
        read_generic(plan)


def build_models(plan: BuildPlan, shards: Sequence[int]) -> int:
    """Train the p-Models of some shards, as far as they are missing.

    No lock is held: processes on any number of machines may build shards of one zoo at the same time. Two that build the
    same shard do the work twice, but no harm.

    Args:
        plan: the build. Its `progress` is called after every p-Model.
        shards: numbers from 0 up, less than ``plan.config.num_shards``.

    Returns:
        How many p-Models were trained. Those of finished shards are not trained again.

    Raises:
        ConfigError: there is no generic model yet, or no such shard.
        CheckpointError: the generic model was altered.
        TrainingError: a worker process died, or the folder cannot be written.
    """
    beyond = [shard for shard in shards if not 0 <= shard < plan.config.num_shards]
    if beyond:
        raise ConfigError(f"There is no shard {beyond[0]}: the zoo has {plan.config.num_shards} shards.")
    _check_generic(plan)
    with naming_the_zoo(plan.folder):
        builder = ShardBuilder(plan)
        pending = builder.pending(shards)
        builder.remove_models([shard for shard in shards if shard not in pending])
        total = builder.num_models(shards)
        begin = done = total - sum(len(ids) for ids in pending.values())
        plan.progress("models", done, total)

        def report() -> None:
            nonlocal done
            done += 1
            plan.progress("models", done, total)

        if pending:
            for _ in builder.build(pending, read_generic(plan), report):
                pass
        remove_empty_models(plan.folder)
        return done - begin


def build_index(plan: BuildPlan) -> int:
    """Check all shards, and write ``index.json``. It completes the zoo.

    Returns:
        How many p-Models the index lists.

    Raises:
        ConfigError: there is no generic model yet, or shards are missing or damaged. The message names them.
        CheckpointError: the generic model was altered.
        TrainingError: the folder cannot be written.
    """
    _check_generic(plan)
    with naming_the_zoo(plan.folder):
        read_generic(plan)
        builder = ShardBuilder(plan)
        shards = range(plan.config.num_shards)
        missing = [shard for shard in shards if not builder.is_complete(shard)]
        if missing:
            words, plural = in_words(missing), len(missing) > 1
            raise ConfigError(
                f"{words[0].upper()}{words[1:]} of {len(shards)} {'are' if plural else 'is'} missing or damaged in "
                f"'{plan.folder}'. Run `tina zoo build --stage models --shards {option_for(missing)}` with the same "
                f"options{', and so on for the others' if option_for(missing) != _all(missing) else ''}."
            )
        builder.remove_models(shards)
        clean(plan.folder)
        remove_empty_models(plan.folder)
        listed = write_index(plan.folder, plan.config)
        plan.transfer.send(plan.folder / INDEX)
        return listed


def _all(shards: Sequence[int]) -> str:
    """Return the value of ``--shards`` if these shards were one run."""
    return str(shards[0]) if len(shards) == 1 else f"{shards[0]}:{shards[-1] + 1}"


def _check_generic(plan: BuildPlan) -> None:
    if not has_generic(plan):
        raise ConfigError(
            f"'{plan.folder}' has no generic model yet. Run `tina zoo build --stage generic` with the same options first."
        )
