"""``tina zoo``: build, inspect and export zoos, and draw task files."""

from __future__ import annotations

import os
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.completion import DEVICES, registered
from tina_framework.cli.output import Advance, print_error, print_json, print_line, print_table, progress_bar
from tina_framework.cli.path_parameters import path_argument, path_option
from tina_framework.terminal.command_line import command, same_command

if TYPE_CHECKING:
    import torch

    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.zoo.build_plan import BuildPlan

__all__ = ["StageBars", "register", "training_device"]

MAX_TASKS = 1_000_000

_LABELS = {
    "features": "Features of the frozen trunk",
    "mirrored features": "Features of mirrored pictures",
    "generic": "Generic model (epochs)",
    "teacher": "Teacher (epochs)",
    "models": "p-Models",
}


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(
        name="zoo", help="Build and inspect zoos: a generic model and many p-Models.", no_args_is_help=True
    )
    group.command("build")(build)
    group.command("info")(info)
    group.command("export")(export)
    group.command("tasks")(tasks)
    app.add_typer(group)


class Stage(StrEnum):
    """The parts of a build."""

    ALL = "all"
    GENERIC = "generic"
    MODELS = "models"
    INDEX = "index"


def build(
    out: Annotated[
        Path, path_option("--out", help="Folder of the zoo, or s3://BUCKET/NAME. Run the same command again to resume.")
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", autocompletion=registered("datasets"), help="Data set, e.g. arrays:FILE.npz, cifar100, shapes."
        ),
    ],
    config: Annotated[
        Path | None, path_option("--config", help="Recipe (TOML). The options below override it.")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option("--architecture", autocompletion=registered("architectures"), help="Target architecture."),
    ] = None,
    num_models: Annotated[int | None, typer.Option("--num-models", min=0, help="Number of p-Models.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of tasks and training.")] = None,
    generic: Annotated[
        Path | None, path_option("--generic", help="Reuse the generic model of this zoo instead of training one.")
    ] = None,
    teacher: Annotated[
        Path | None,
        path_option(
            "--teacher",
            help="File of 'tina train-teacher', for recipes with a teacher_weight.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Number of CPU processes.")] = 2,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="cpu, cuda or auto.")] = "auto",
    stage: Annotated[
        Stage,
        typer.Option(
            "--stage", help="Do only this part: generic first, then models for all shards in any order, then index."
        ),
    ] = Stage.ALL,
    shards: Annotated[
        str | None,
        typer.Option(
            "--shards",
            help="Shards for --stage models: 3, 3:8 (3 to 7), 3: or 3::16 (every 16th from 3 on). Default: all.",
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait if another build uses the folder.")
    ] = 0.0,
    partner_timeout: Annotated[
        float,
        typer.Option(
            "--partner-timeout",
            min=0,
            help="Seconds without a sign of work after which a process of the same launch counts as lost.",
        ),
    ] = 1800.0,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Build a zoo: train a generic model and, from its weights, p-Models for many sets of classes."""
    from tina_framework.cli.interrupt import clean_stop
    from tina_framework.errors import ConfigError
    from tina_framework.storage.remote import remote_address

    if shards is not None and stage is not Stage.MODELS:
        raise ConfigError(
            f"--shards is for --stage models, but the stage is {stage}. Leave out --shards, or give --stage models."
        )
    if generic is not None and stage not in (Stage.ALL, Stage.GENERIC):
        raise ConfigError(f"--generic is for --stage generic, but the stage is {stage}. Leave it out.")
    overrides = {"architecture": architecture, "num_models": num_models, "seed": seed}
    with clean_stop(lambda: _how_to_go_on(out)), ExitStack() as stack:
        from tina_framework.zoo.recipe import read_recipe

        recipe = read_recipe(config, overrides)  # before torch is imported, so that a mistake shows at once

        from tina_framework.zoo.build_plan import plan_by_names

        plan = plan_by_names(
            out,
            dataset,
            recipe,
            plugin_files=_plugin_files(),
            device=training_device(device),
            workers=workers,
            progress=StageBars(stack),
            teacher=teacher,
        )
        done = _run_stage(plan, stage, shards, generic, wait, partner_timeout)
    if int(os.environ.get("RANK", "0")):
        return  # only the first of several launched processes prints
    if json_:
        print_json({"zoo": remote_address(out) or str(out), "stage": str(stage), **done})
    else:
        print_line(_summary(remote_address(out) or str(out), stage, done))


def _how_to_go_on(out: Path) -> str:
    """Return how to continue a build that was stopped, or that there is nothing to continue."""
    from tina_framework.storage.remote import remote_address
    from tina_framework.zoo.build_folder import is_begun

    if remote_address(out) is None and not is_begun(out):
        return "Nothing was finished yet, so nothing is kept."
    again = same_command()
    # A process of a launch does not know the launcher's own command.
    if again is None or "RANK" in os.environ:
        return "Everything finished is kept; run the same command again to continue."
    return f"Everything finished is kept. To continue, run: {again}"


def _plugin_files() -> tuple[str, ...]:
    """Return the files given with --plugin: worker processes start without plugins, so they load these again."""
    from tina_framework.plugin.discovery import plugin_records

    return tuple(record.target for record in plugin_records() if record.target.endswith(".py"))


def _run_stage(
    plan: BuildPlan, stage: Stage, shards: str | None, generic: Path | None, wait: float, partner_timeout: float
) -> dict[str, Any]:
    """Do a stage, and return what to print of it."""
    from tina_framework.zoo.builder import build_zoo
    from tina_framework.zoo.launch import Launch
    from tina_framework.zoo.shard_numbers import parse_shards
    from tina_framework.zoo.small_data import reservation_note
    from tina_framework.zoo.stages import build_generic, build_index, build_models

    launch = Launch.from_environment()
    note = reservation_note(len(plan.dataset.class_names), plan.config.class_counts)
    if note is not None and launch.rank == 0 and stage in (Stage.ALL, Stage.GENERIC):
        print_error(note)
    totals = {"shards": plan.config.num_shards, "models": plan.config.num_models}
    if stage is Stage.ALL:
        listed = build_zoo(plan, generic_from=generic, wait=wait, partner_timeout=partner_timeout, notify=print_error)
        return totals | {"models": listed}
    if stage is Stage.MODELS:
        chosen = parse_shards(":" if shards is None else shards, plan.config.num_shards)
        # Processes of one launch, for example one for each GPU of a machine, divide the shards between them.
        mine = chosen[launch.rank :: launch.world]
        trained = build_models(plan, mine)
        held = sum(len(plan.config.shard_ids(shard)) for shard in mine)
        return {"shards": list(mine), "models": held, "trained": trained}
    if launch.rank == 0:  # the other stages are one process's work
        if stage is Stage.GENERIC:
            build_generic(plan, generic_from=generic, wait=wait, notify=print_error)
        else:
            totals["models"] = build_index(plan)
    return totals


def _summary(out: str, stage: Stage, done: dict[str, Any]) -> str:
    from tina_framework.zoo.shard_numbers import in_words

    if stage is Stage.GENERIC:
        return (
            f"The generic model of {out} is finished. The zoo has {done['shards']} shards: next, run "
            f"`{command('zoo', 'build', '--stage', 'models', '--shards', '0:' + str(done['shards']))}` with the same options, in "
            "as many parts as you like."
        )
    if stage is Stage.MODELS:
        if not done["shards"]:
            return f"There is nothing to do: the zoo {out} has no shards in this range."
        words = in_words(done["shards"])
        return (
            f"{words[0].upper()}{words[1:]} of {out}: {done['models']} p-Models, of which {done['trained']} were trained "
            f"now. After all shards, run `{command('zoo', 'build', '--stage', 'index')}` with the same options."
        )
    return f"The zoo {out} holds {done['models']} p-Models. Inspect it with: {command('zoo', 'info', out)}"


def info(
    folder: Annotated[Path, path_argument(help="Folder of the zoo, or s3://BUCKET/NAME.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", autocompletion=registered("datasets"), help="Data set; needed for --test and --signal."
        ),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Also measure the accuracy on test images.")] = False,
    signal: Annotated[
        bool, typer.Option("--signal", help="Also measure how much of the p-Models depends on their classes.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the contents and the accuracy of a zoo."""
    from tina_framework.errors import ConfigError

    if (test or signal) and dataset is None:
        raise ConfigError("--test and --signal need images; add --dataset, e.g. --dataset arrays:FILE.npz.")

    from tina_framework.zoo.info import describe, measure_signal, measure_test
    from tina_framework.zoo.store import Zoo

    zoo = Zoo.open(folder)
    zoo.verify()
    value: dict[str, Any] = describe(zoo)
    if dataset is not None and (test or signal):
        from tina_framework.plugin.discovery import registries

        spec, data = _spec(zoo.architecture), registries().datasets.create(dataset)
        if test:
            value["test"] = measure_test(zoo, spec, data)
        if signal:
            value["signal"] = measure_signal(zoo, spec, data)
    if json_:
        print_json(value)
        return
    print_table(list(_flat_rows(value)), ["what", "value"], title=f"Zoo {zoo.place}")


def export(
    folder: Annotated[Path, path_argument(help="Folder of the zoo.")],
    out: Annotated[Path, path_argument(help="Folder to write the copy to; it must not exist.")],
) -> None:
    """Copy a finished zoo in half precision and as one file, small enough to publish."""
    from tina_framework.zoo.export import export_zoo
    from tina_framework.zoo.store import Zoo

    size = export_zoo(Zoo.open(folder), out)
    print_line(f"Wrote {out}: {size / 1e6:.1f} MB.")


def tasks(
    out: Annotated[Path, path_argument(help="Task file (JSON) to write.")],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", autocompletion=registered("datasets"), help="Data set to draw classes from."),
    ] = None,
    zoo: Annotated[
        Path | None,
        path_option(
            "--zoo", help="Zoo whose tasks the split 'seen' takes, and whose held-out classes the other splits respect."
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="Split to draw tasks of. Repeatable. Default: unseen-combination."),
    ] = None,
    classes: Annotated[
        list[int] | None,
        typer.Option(
            "--classes",
            help="Classes per task. Repeatable. Default: 10; with fewer than 20 classes, as many as sets are reserved of.",
        ),
    ] = None,
    num_tasks: Annotated[
        int | None,
        typer.Option(
            "--num-tasks",
            min=1,
            max=MAX_TASKS,
            help="Number of tasks of each split and class count. Default: 100, or all that a data set of few classes has.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw.")] = 0,
) -> None:
    """Draw a task file for 'tina evaluate'."""
    from tina_framework.errors import ConfigError
    from tina_framework.zoo.small_data import count_words
    from tina_framework.zoo.splits import sample_default_tasks, sample_split_tasks
    from tina_framework.zoo.tasks import Task, check_task_target, save_tasks

    check_task_target(out)
    opened = None
    if zoo is not None:
        from tina_framework.zoo.store import Zoo

        opened = Zoo.open(zoo)
    held_out = opened.config.held_out_classes if opened is not None else None
    found: list[Task] = []
    for name in split or ["unseen-combination"]:
        if name == "seen":
            if opened is None:
                raise ConfigError("The split 'seen' takes its tasks from a zoo; add --zoo FOLDER.")
            wanted = [e for e in opened.entries if not classes or len(e.classes) in classes]
            if not wanted:
                raise ConfigError(f"No p-Model of the zoo '{zoo}' has {' or '.join(map(str, classes or []))} classes.")
            found += [Task(entry.classes, "seen") for entry in wanted[: num_tasks or 100]]
            continue
        if dataset is None:
            raise ConfigError(f"The split '{name}' is drawn from the classes of a data set; add --dataset.")
        from tina_framework.plugin.discovery import registries

        data = registries().datasets.create(dataset)
        if not classes:
            found += sample_default_tasks(data, name, num_tasks, seed, held_out=held_out)
        for count in classes or ():
            found += sample_split_tasks(data, name, count, num_tasks or 100, seed, held_out=held_out)
    save_tasks(out, found)
    counts = count_words({len(task.classes) for task in found})
    print_line(f"Wrote {len(found)} tasks of {counts} classes to {out}.")


def _spec(architecture: str) -> ParameterSpec:
    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.plugin.discovery import registries

    return ParameterSpec(registries().architectures.create(architecture))


def training_device(device: str) -> torch.device:
    """Return the device. Under ``accelerate launch``, ``auto`` and ``cuda`` mean the GPU assigned to this process."""
    import torch

    from tina_framework.targets.device import resolve_device

    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    # On MPS, `auto` means the CPU: training on MPS was never tested.
    return torch.device("cpu") if device == "auto" else resolve_device(device)


class StageBars:
    """One progress bar for each stage, opened when the stage begins."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._bars: dict[str, tuple[Advance, int]] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            bar = self._stack.enter_context(progress_bar(_label(stage), total, done=done))
            self._bars[stage] = (bar, done)
            return
        advance, before = self._bars[stage]
        advance(done - before)
        self._bars[stage] = (advance, done)


def _label(stage: str) -> str:
    name, _, width = stage.partition("@")
    return f"Generic model of width {width} (epochs)" if width else _LABELS[name]


def _flat_rows(value: dict[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, entry in value.items():
        if isinstance(entry, dict):
            rows += _flat_rows(entry, f"{prefix}{name} / ")
        else:
            rows.append({"what": prefix + name, "value": f"{entry:.4f}" if isinstance(entry, float) else str(entry)})
    return rows
