"""Search the recipe of the baseline `fine-tune` on validation tasks and validation images.

    python -m benchmarks.choose.fine_tuning_baseline --dataset arrays:DATA --out work/baselines

Prints a Markdown table of gains over classifier selection in points, paired, with standard errors.
OUT/SETTING.json is written after every task, so a stopped search continues where it was.
Two processes can share the work with --shard 0/2 and --shard 1/2. Run again without --shard for the whole table.
No test image is used.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.script import PRETRAINED, run
from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods.fine_tune import parse_recipe
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import read_json, write_json
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import fine_tune, start_of, task_accuracy
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.teacher import Teacher

BUNDLED_ZOO = PRETRAINED / "cifar100-zoo"

# What is written after `fine-tune@`; it changes the zoo's recipe. One factor at a time around `long`.
GRID = (
    "short",
    "long",
    "long:lr=0.05",
    "long:lr=0.2",
    "long:batch_size=64",
    "long:batch_size=256",
    "long:average_last=0.25",
    "long:weight_decay=0.0005",
    "long:weight_decay=0.002",
    "long:epochs=30",
    "long:epochs=120",
)


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument(
        "--zoo", type=Path, default=BUNDLED_ZOO, help="zoo whose generic model and recipe are the start"
    )
    parser.add_argument("--out", type=Path, default=Path("work/baselines"))
    parser.add_argument("--tasks", type=int, default=8, help="number of validation tasks")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument(
        "--settings", nargs="+", default=list(GRID), help="what is written after fine-tune@; default: the whole grid"
    )
    parser.add_argument("--teacher", type=Path, help="file of 'tina train-teacher', for settings with a teacher_weight")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard", default="0/1", help="I/N: run every N-th setting, from the I-th")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(words)


def search(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Train what is missing, and return one entry for each setting of this shard."""
    zoo = Zoo.open(args.zoo)
    spec = ParameterSpec(registries().architectures.create(zoo.architecture))
    zoo.check(spec)
    dataset = registries().datasets.create(args.dataset)
    teacher = None if args.teacher is None else Teacher.load(args.teacher)
    train = ImageBank(dataset, "train", spec, args.device, teacher=teacher)
    validation = ImageBank(dataset, "validation", spec, args.device)
    generic = {name: tensor.float() for name, tensor in zoo.generic.items()}
    # `fine_tune` counts classes as the data set's labels do, so the rows are put in that order.
    order = [zoo.class_names.index(name) if name in zoo.class_names else 0 for name in dataset.class_names]
    start = spec.select_classes(generic, torch.tensor(order))
    sampler = TaskSampler(
        zoo.class_names, partition="validation", class_counts={args.classes: 1.0}, seed=args.seed, split="validation"
    )
    tasks = [task.classes for task in sampler.tasks(args.tasks, allow_fewer=True)]
    selection = [
        task_accuracy(spec, spec.flatten(start_of(spec, start, train.labels_of(c)), len(c)), c, validation)
        for c in tasks
    ]
    index, _, shards = args.shard.partition("/")
    mine = args.settings[int(index) :: int(shards)]
    recipes = {setting: SGDRecipe(**{**zoo.config.model, **parse_recipe(setting)}) for setting in mine}
    files = {setting: args.out / f"{setting.replace(':', '_').replace('=', '-')}.json" for setting in mine}
    kept = {setting: _kept(path, _head(args, setting, recipes[setting], teacher)) for setting, path in files.items()}
    # Time is proportional to epochs, so these measure the progress.
    todo = sum(recipes[s].epochs * sum(_key(c) not in kept[s]["tasks"] for c in tasks) for s in mine)
    done, started = 0.0, time.perf_counter()
    for setting in mine:
        for number, classes in enumerate(tasks):
            if _key(classes) in kept[setting]["tasks"]:
                continue
            before = time.perf_counter()
            flat = fine_tune(
                spec, start, classes, train, recipes[setting], zoo.config.model_seed(zoo.config.num_models)
            )
            kept[setting]["tasks"][_key(classes)] = {
                "accuracy": task_accuracy(spec, flat, classes, validation),
                "selection": selection[number],
                "seconds": round(time.perf_counter() - before, 2),
            }
            write_json(files[setting], kept[setting])
            done += recipes[setting].epochs
            left = (time.perf_counter() - started) / done * (todo - done)
            print(
                f"{setting}: task {number + 1} of {len(tasks)}, about {left / 60:.0f} min left",
                file=sys.stderr,
                flush=True,
            )
    return [{"setting": s, "recipe": recipes[s], "rows": [kept[s]["tasks"][_key(c)] for c in tasks]} for s in mine]


def _head(args: argparse.Namespace, setting: str, recipe: SGDRecipe, teacher: Teacher | None) -> dict[str, Any]:
    """Return what a kept file must say, so that its results may be used."""
    taught = {"teacher": teacher.sha256} if teacher is not None and recipe.teacher_weight else {}
    return {"zoo": args.zoo.resolve().name, "seed": args.seed, "setting": setting, **taught}


def _key(classes: tuple[str, ...]) -> str:
    return ", ".join(classes)


def _kept(path: Path, head: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the file, or an empty result if there is none.

    Raises:
        ConfigError: the file was made with other settings.
    """
    if path.is_file():
        values: dict[str, Any] = read_json(path)
        if {key: values.get(key) for key in head} == head:
            return values
        raise ConfigError(f"'{path}' was made with other settings than {head}; choose another folder with --out.")
    return {**head, "tasks": {}}


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        "| fine-tune@ | epochs | lr | batch | weight decay | averaged | accuracy % | minus selection | s / model |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    summaries = []
    for entry in found:
        gains = [100 * (row["accuracy"] - row["selection"]) for row in entry["rows"]]
        error = statistics.stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
        summaries.append((statistics.mean(gains), error, entry))
    for gain, error, entry in sorted(summaries, key=lambda summary: -summary[0]):
        recipe, rows = entry["recipe"], entry["rows"]
        accuracy, seconds = (statistics.mean(row[key] for row in rows) for key in ("accuracy", "seconds"))
        lines.append(
            f"| {entry['setting']} | {recipe.epochs:g} | {recipe.lr:g} | {recipe.batch_size} | "
            f"{recipe.weight_decay:g} | {recipe.average_last:g} | {100 * accuracy:.2f} | "
            f"{gain:+.2f} ± {error:.2f} | {seconds:.1f} |"
        )
    rows = found[0]["rows"]
    selection = 100 * statistics.mean(row["selection"] for row in rows)
    return "\n".join([f"{len(rows)} validation tasks, selection {selection:.2f} %; ± one standard error.", "", *lines])


def main(words: list[str]) -> None:
    torch.set_num_threads(1)
    print(table(search(parse(words))))


if __name__ == "__main__":
    run(main)
