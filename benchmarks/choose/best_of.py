"""Measure whether one of several generated networks is better, and whether it can be found without labels.

    python -m benchmarks.choose.best_of --dataset arrays:cifar100.npz --encoder embedding-table:cifar100_clip_text.npz

Each task gets several candidates. Compared are the first, the one that is surest of unlabelled pictures (mean greatest
probability), the mean of their weights, the mean of their logits, and the best by labels, which no user can choose.
Candidates differ by the seed, by noise on the class vectors (as large as in training), or by the template.
The script uses validation tasks and validation images, prints a Markdown table, and takes about two minutes.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from benchmarks.script import run
from tina_framework import Generator
from tina_framework.evaluation.statistics import Summary, paired, summarize
from tina_framework.generator.options import SamplingOptions
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks
from tina_framework.targets.functional import TargetRunner
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.splits import sample_split_tasks


def candidates(
    generator: Generator, tasks: list[tuple[str, ...]], kind: str, number: int, noise: float
) -> list[list[Tensor]]:
    """Return `number` networks (N,) for each task."""
    if kind == "seeds":
        flats = generator.generate_parameters(
            encode_tasks(tasks, generator.encoder), SamplingOptions(num_samples=number)
        )
        return [flats[i : i + number] for i in range(0, len(flats), number)]
    by_candidate = []
    for k in range(number):
        template = k % len(generator.encoder.templates) if kind == "templates" else 0
        conditions = encode_tasks(tasks, generator.encoder, template)
        if kind == "noise":
            conditions = [_noised(condition, generator, noise, 1000 * k + i) for i, condition in enumerate(conditions)]
        by_candidate.append(generator.generate_parameters(conditions))
    return [list(task) for task in zip(*by_candidate, strict=True)]


def _noised(condition: EncodedTask, generator: Generator, noise: float, seed: int) -> EncodedTask:
    """Add Gaussian noise to the vectors: `noise` times their distance from the mean of the space."""
    unit = condition.vectors / np.linalg.norm(condition.vectors, axis=1, keepdims=True)
    length = np.linalg.norm(unit - generator.condition_space.mean.numpy(), axis=1, keepdims=True)
    drawn = np.random.default_rng(seed).standard_normal(unit.shape).astype(np.float32)
    return EncodedTask(condition.class_names, condition.keys, unit + noise * length * drawn / unit.shape[1] ** 0.5)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--number", type=int, default=8, help="candidates for each task")
    parser.add_argument(
        "--noise", type=float, default=0.05, help="size of the noise, like the training setting condition_noise"
    )
    given = parser.parse_args(words)
    dataset = registries().datasets.create(given.dataset)
    generator = Generator.from_pretrained(given.model, device="cpu", encoder=given.encoder)
    tasks = [t.classes for t in sample_split_tasks(dataset, "validation", 10, given.tasks, seed=0)]
    bank, runner = ImageBank(dataset, "validation", generator.spec), TargetRunner(generator.spec, "fp32", 1)
    print("| candidates | chosen | accuracy % | minus the first, paired |\n|---|---|---|---|")
    for kind in ("seeds", "noise", "templates"):
        if kind == "templates" and len(generator.encoder.templates) < 2:
            continue
        found: dict[str, list[float]] = {}
        for task, flats in zip(tasks, candidates(generator, tasks, kind, given.number, given.noise), strict=True):
            rows, slots = bank.rows(task)
            with torch.no_grad():
                images = bank.images[rows]
                logits = torch.stack([runner.logits(flat, len(task), images) for flat in flats])
                merged = runner.logits(torch.stack(flats).mean(dim=0), len(task), images)
            right = [float((one.argmax(1) == slots).double().mean()) for one in logits]
            sure = logits.softmax(dim=2).amax(dim=2).mean(dim=1)
            for name, value in (
                ("the first", right[0]),
                ("the surest", right[int(sure.argmax())]),
                ("mean of the weights", float((merged.argmax(1) == slots).double().mean())),
                ("mean of the logits", float((logits.mean(0).argmax(1) == slots).double().mean())),
                ("the best, by labels", max(right)),
            ):
                found.setdefault(name, []).append(100 * value)
        for name, values in found.items():
            print(
                f"| {given.number} by {kind} | {name} | {summarize(values).mean:.2f} | "
                f"{shown(paired(values, found['the first']))} |"
            )


def shown(difference: Summary) -> str:
    low, high = difference.ci95 or (difference.mean, difference.mean)
    return f"{difference.mean:+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    run(main)
