"""Measure what the 8-bit integers of format `c` cost in accuracy, over many tasks.

    python -m benchmarks.reproduce.int8 --dataset arrays:cifar100.npz --split test

Each task gets a generated network, which is measured with real numbers and with the integers of its C code. The integers are
computed in NumPy, and the first network's also by the compiled C code, which must give the same ones.

Ranges and roundings are chosen on pictures for calibration, which are never those of measuring: `train-10` and `train-1` are ten
pictures, or one, of each class of the task, from the training split. `demo` are the twelve pictures that come with the package,
whatever they show. The script prints a Markdown table with differences paired over tasks.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.script import REPOSITORY, command_line, run
from tina_framework import Generator
from tina_framework.builtins.exporters.c.compiled import compiled
from tina_framework.builtins.exporters.c.exporter import CExporter, integer_network
from tina_framework.builtins.exporters.c.reference import integer_logits
from tina_framework.classifier.exporting.source import export_source
from tina_framework.cli.output import progress_bar
from tina_framework.errors import TinaError
from tina_framework.evaluation.environment import describe_machine, now
from tina_framework.evaluation.statistics import Summary, paired, summarize
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.interfaces.exporter import Pixels
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.tasks import load_tasks

CALIBRATIONS = ("train-10", "train-1", "demo")
DEMO = REPOSITORY / "tina_framework" / "demo"


def drawn(data: LabelledImages, labels: list[int], count: int, random: np.random.Generator) -> Pixels:
    """Return `count` pictures of each label."""
    rows = [random.choice(np.flatnonzero(data.labels == label), count, replace=False) for label in labels]
    pixels: Pixels = data.images[np.concatenate(rows)]
    return pixels


def shown(found: Summary) -> str:
    low, high = found.ci95 or (found.mean, found.mean)
    return f"{found.mean:+.2f} ({low:+.2f} to {high:+.2f})"


def measure(arguments: argparse.Namespace) -> tuple[list[float], dict[str, dict[str, list[float]]], set[int], set[int]]:
    """Return accuracies with real numbers, those and agreements with integers, and the bytes of constants and of RAM."""
    dataset = registries().datasets.create(arguments.dataset)
    generator = Generator.from_pretrained(arguments.model, device="cpu", encoder=arguments.encoder)
    if arguments.split == "test":
        tasks = [task.classes for task in load_tasks(arguments.tasks)][: arguments.num_tasks]
    else:
        tasks = [t.classes for t in sample_split_tasks(dataset, "validation", 10, arguments.num_tasks, seed=0)]
    measured, training = dataset.load(arguments.split), dataset.load("train")
    real: list[float] = []
    whole: dict[str, dict[str, list[float]]] = {c: {"accuracy": [], "agreement": []} for c in CALIBRATIONS}
    constants, ram = set(), set()
    random = np.random.default_rng(arguments.seed)
    with progress_bar("tasks", len(tasks)) as advance:
        for number, task in enumerate(tasks):
            classifier = generator(list(task), seed=arguments.seed)
            labels = [dataset.class_names.index(name) for name in task]
            chosen = np.isin(measured.labels, labels)
            pixels = measured.images[chosen]
            truth = np.array([labels.index(label) for label in measured.labels[chosen]])
            ours = classifier.logits(pixels).numpy().argmax(1)
            real.append(100 * float((ours == truth).mean()))
            pictures = {
                "train-10": drawn(training, labels, 10, random),
                "train-1": drawn(training, labels, 1, random),
                "demo": classifier.preprocessing.pixels(
                    sorted(p for p in DEMO.iterdir() if p.suffix in {".png", ".jpg"})
                ),
            }
            for name in CALIBRATIONS:
                source = export_source(classifier, pictures[name])
                network = integer_network(source)
                logits = integer_logits(network, pixels)
                whole[name]["accuracy"].append(100 * float((logits.argmax(1) == truth).mean()))
                whole[name]["agreement"].append(100 * float((logits.argmax(1) == ours).mean()))
                if number == 0:
                    with tempfile.TemporaryDirectory() as scratch:
                        facts = CExporter().write(source, path := Path(scratch) / "network")
                        if not np.array_equal(compiled(path).integer_logits(pixels), logits):
                            raise TinaError("The compiled C code and NumPy give different integers.")
                    constants.add(facts["constant_bytes"])
                    ram.add(facts["ram_bytes"])
            advance()
    return real, whole, constants, ram


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="of tasks and pictures")
    parser.add_argument(
        "--tasks", default=str(REPOSITORY / "examples/cifar100/tasks-10.json"), help="with --split test"
    )
    parser.add_argument("--num-tasks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    real, whole, constants, ram = measure(given)
    print(f"{command_line('reproduce.int8', words)}\n{now()[:10]}, {_machine()}\n")
    print(
        f"{len(real)} tasks. With real numbers: {shown_mean(real)} %. Constants of the first network: {max(constants):,} bytes, "
        f"buffers: {max(ram):,} bytes.\n"
    )
    print(
        "| calibration | accuracy % | minus real numbers, paired | same answers % | of the worst task |\n|---|---|---|---|---|"
    )
    for name, found in whole.items():
        print(
            f"| `{name}` | {summarize(found['accuracy']).mean:.2f} | {shown(paired(found['accuracy'], real))} | "
            f"{summarize(found['agreement']).mean:.2f} | {min(found['agreement']):.1f} |"
        )


def shown_mean(values: list[float]) -> str:
    return f"{summarize(values).mean:.2f}"


def _machine() -> str:
    machine = describe_machine(torch.device("cpu"))
    return f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"


if __name__ == "__main__":
    run(main)
