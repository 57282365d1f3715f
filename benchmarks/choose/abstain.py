"""Compare scores by which a classifier may abstain, and measure what abstaining gives.

    python -m benchmarks.choose.abstain --dataset arrays:cifar100.npz          # choose a score
    python -m benchmarks.choose.abstain --test --dataset arrays:cifar100.npz   # report

Choosing uses validation tasks and validation images. Each score gets one threshold for each class count: the accuracy
on pictures of the task, with abstentions as mistakes, is 90 % of what it is without abstaining. The chosen score
refuses most pictures of other classes with these thresholds, on average over class counts.

Reporting (`--test`) uses reserved tasks and test images, and the thresholds that `tina calibrate` wrote into the
generator's config.json. For the picture it also records the share refused against the share of the accuracy that is
kept. These thresholds are set on the measured pictures themselves.

Writes OUT/abstain.json and OUT/abstain.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.choose.abstention_scores import SCORES
from benchmarks.script import command_line, run
from tina_framework import Generator
from tina_framework.classifier.abstention import SCORE
from tina_framework.cli.output import progress_bar
from tina_framework.errors import ConfigError, DataError
from tina_framework.evaluation.calibration.responses import Scored, figures, respond, threshold_for
from tina_framework.evaluation.calibration.thresholds import calibration_tasks
from tina_framework.evaluation.environment import describe_machine, now
from tina_framework.evaluation.paths import without_folders
from tina_framework.interfaces.dataset import Dataset
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import replacing, write_json
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.tasks import Task, load_tasks

COUNTS = (2, 3, 5, 10)
FILES = tuple(Path(f"examples/cifar100/tasks-{count}.json") for count in (3, 5, 10))
GRID = [share / 100 for share in range(100, 48, -2)]


def reserved(files: list[Path], dataset: Dataset, most: int) -> dict[int, list[Task]]:
    """Return class count -> the first tasks of a file.

    Raises:
        DataError: a file mixes class counts.
        ConfigError: a task is not reserved for testing.
    """
    found: dict[int, list[Task]] = {}
    for path in files:
        tasks = load_tasks(path, class_names=dataset.class_names)[:most]
        counts = {len(task.classes) for task in tasks}
        if len(counts) > 1:
            raise DataError(f"'{path}' holds tasks of {sorted(counts)} classes; give one file a class count.")
        if any(partition_of(task.classes) != "test" for task in tasks):
            raise ConfigError(f"'{path}' holds tasks that are not reserved for testing; give a file of reserved tasks.")
        found |= {counts.pop(): tasks}
    return dict(sorted(found.items()))


def choice(by_count: dict[int, dict[str, list[Scored]]], kept: float) -> dict[str, Any]:
    """Return the figures of each score (`scores`), their means (`refused`), and the best score (`chosen`)."""
    scores = {
        score: {count: figures(of[score], threshold_for(of[score], kept)) for count, of in by_count.items()}
        for score in SCORES
    }
    refused = {
        score: sum(row["refused"]["mean"] for row in rows.values()) / len(rows) for score, rows in scores.items()
    }
    return {"scores": scores, "refused": refused, "chosen": max(refused, key=lambda score: refused[score])}


def report(generator: Generator, by_count: dict[int, dict[str, list[Scored]]]) -> dict[str, Any]:
    """Return the figures of the generator's thresholds (`rows`), and `curves` of refused against kept."""
    abstention = generator.config.abstention
    if abstention is None:
        raise ConfigError(f"The generator '{generator.name}' has no thresholds; run 'tina calibrate' first.")
    rows, curves = {}, {}
    for count, of in by_count.items():
        networks, threshold = of[SCORE], abstention.threshold(count)
        if threshold is None:
            raise ConfigError(f"The generator '{generator.name}' has no threshold for {count} classes; calibrate it.")
        rows[count] = figures(networks, threshold)
        points = [figures(networks, threshold_for(networks, kept)) for kept in GRID]
        curves[count] = [{"kept": point["kept"], **point["refused"]} for point in points]
    return {"score": SCORE, "rows": rows, "curves": curves}


def table(result: dict[str, Any]) -> str:
    """Return a result as Markdown."""
    lines = []
    if "scores" in result:
        counts = list(next(iter(result["scores"].values())))
        lines += [
            "| score | " + " | ".join(f"{n} classes: refused % | AUROC" for n in counts) + " | refused %, mean |",
            "|---|" + "---|---|" * len(counts) + "---|",
        ]
        for score, rows in result["scores"].items():
            cells = [f"{percent(row['refused'])} | {row['auroc']:.3f}" for row in rows.values()]
            lines.append(f"| {score} | {' | '.join(cells)} | {100 * result['refused'][score]:.1f} |")
        lines += ["", f"Chosen: {result['chosen']}."]
    else:
        lines += [
            f"| classes | accuracy % | kept of it % | refused % ({result['score']}) | AUROC |",
            "|---|---|---|---|---|",
        ]
        for count, row in result["rows"].items():
            kept = f"{100 * row['accuracy']:.1f} | {100 * row['kept']:.1f}"
            lines.append(f"| {count} | {kept} | {percent(row['refused'])} | {row['auroc']:.3f} |")
    return "\n".join(lines) + "\n"


def percent(value: dict[str, Any]) -> str:
    """Return a mean and half of its 95 % interval over tasks, in percent: ``58.3 ± 2.1``."""
    half = "" if value["ci95"] is None else f" ± {50 * (value['ci95'][1] - value['ci95'][0]):.1f}"
    return f"{100 * value['mean']:.1f}{half}"


def measured(
    generator: Generator, dataset: Dataset, given: argparse.Namespace
) -> Iterator[tuple[int, dict[str, list[Scored]]]]:
    """Yield each class count with score -> the scored networks of its tasks."""
    if given.test:
        classes, by_count = list(dataset.class_names), reserved(given.task_files, dataset, given.tasks)
    else:
        classes, by_count = calibration_tasks(generator.config, dataset, COUNTS, given.tasks, given.seed)
    bank = ImageBank(dataset, "test" if given.test else "validation", generator.spec)
    with progress_bar("Networks", sum(map(len, by_count.values()))) as advance:
        for count, tasks in by_count.items():
            options = {"per_class": given.per_class, "seed": given.seed, "on_progress": advance}
            responses = respond(generator, bank, tasks, classes, **options)
            yield count, {name: [response.scored(score) for response in responses] for name, score in SCORES.items()}


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", default=None, help="default: the generator's own")
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--test", action="store_true", help="report on reserved tasks and test images")
    parser.add_argument("--task-files", type=Path, nargs="+", default=FILES, help="reserved tasks, for --test")
    parser.add_argument(
        "--tasks", type=int, default=100, help="tasks of each class count, at most; the first of a file"
    )
    parser.add_argument("--per-class", type=int, default=10, help="pictures of each class outside a task")
    parser.add_argument(
        "--kept", type=float, default=0.9, help="share of the accuracy that the thresholds keep, for choosing"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("outputs/abstain"))
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    given = parse(words)
    dataset = registries().datasets.create(given.dataset)
    generator = Generator.from_pretrained(given.model, device="cpu", encoder=given.encoder)
    by_count = dict(measured(generator, dataset, given))
    result = report(generator, by_count) if given.test else choice(by_count, given.kept)
    result["setup"] = {
        "command": command_line("choose.abstain", words),
        "model": given.model,
        "encoder": without_folders(generator.encoder.name),
        "images": "test" if given.test else "validation",
        "tasks": {count: len(next(iter(of.values()))) for count, of in by_count.items()},
        "per_class": given.per_class,
        "seed": given.seed,
        "date": now(),
        "machine": describe_machine(torch.device("cpu")),
    }
    write_json(given.out / "abstain.json", result)
    with replacing(given.out / "abstain.md") as path:
        path.write_text(table(result), encoding="utf-8")
    print(table(result), end="")


if __name__ == "__main__":
    run(main)
