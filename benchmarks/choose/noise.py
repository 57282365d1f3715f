"""Measure what noise gives: what several draws of one prompt gain over one, and how much networks differ by their noise.

    python -m benchmarks.choose.noise --dataset arrays:cifar100.npz --encoder embedding-table:cifar100_clip_text.npz FOLDER ...

Each task gets eight networks that differ in their noise alone. There is a row for each generator folder and each number of
sampling steps. It gives the accuracy of one network (mean over the eight), and that of the mean probabilities of 2, 4 and 8.
Disjoint sets of draws are averaged, so that all eight count everywhere. Differences are paired by task, with standard
errors over tasks: within a row's own generator against one draw, and against the first generator with the same draws.

A regressor trained with `draws_per_task` has heads instead of noise. Its exported folder starts from zeros, which is head 0.
This script reads the other heads from the seed in the folder's record.

The script uses validation tasks and validation images. It reads no test image. A generator takes about three minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.script import run
from tina_framework import Generator
from tina_framework.denoiser.preconditioning import model_input
from tina_framework.errors import ConfigError
from tina_framework.evaluation.statistics import paired, summarize
from tina_framework.generator.options import SamplingOptions
from tina_framework.generator.scheduler import make_scheduler
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks
from tina_framework.targets.functional import TargetRunner
from tina_framework.training.regressor_heads import head_inputs
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.splits import sample_split_tasks

_DRAWS = 8


@dataclass
class Figures:
    """What was measured of one generator in some number of steps, in percent, with one entry for each task.

    Attributes:
        accuracy: number of draws whose probabilities were averaged -> accuracies.
        spread: standard deviations of the accuracy over draws.
        disagreement: shares of images on which two draws answer differently.
    """

    accuracy: dict[int, list[float]] = field(default_factory=dict)
    spread: list[float] = field(default_factory=list)
    disagreement: list[float] = field(default_factory=list)

    def add(self, logits_DMK: Tensor, slots_M: Tensor) -> None:
        """Add a task, whose images got these logits from D networks."""
        found = accuracies(logits_DMK, slots_M)
        for number, value in found.items():
            self.accuracy.setdefault(number, []).append(value)
        draws = len(logits_DMK)
        if draws == 1:
            return
        answers_DM = logits_DMK.argmax(2)
        right_D = 100 * (answers_DM == slots_M).double().mean(1)
        self.spread.append(float(right_D.std()))
        pairs = [(i, j) for i in range(draws) for j in range(i)]
        differ = [(answers_DM[i] != answers_DM[j]).double().mean() for i, j in pairs]
        self.disagreement.append(100 * float(torch.stack(differ).mean()))


def accuracies(logits_DMK: Tensor, slots_M: Tensor) -> dict[int, float]:
    """Return the number of draws -> accuracy in percent of their mean probabilities, averaged over disjoint sets of draws."""
    probabilities = logits_DMK.double().softmax(2)
    found = {}
    for number in (1, 2, 4, 8):
        if number > len(logits_DMK):
            break
        sets = [part.mean(0).argmax(1) for part in probabilities.split(number) if len(part) == number]
        found[number] = 100 * float((torch.stack(sets) == slots_M).double().mean())
    return found


def heads_of(generator: Generator) -> int:
    """Return the number of heads of a regressor, and 0 for a generator that starts from noise."""
    if generator.config.initial_noise:
        return 0
    return int(generator.config.training.get("recipe", {}).get("draws_per_task", 1))


def networks(generator: Generator, conditions: list[EncodedTask], steps: int) -> list[list[Tensor]]:
    """Return the networks (N,) of each task: eight by noise, or one for each head of a regressor."""
    heads = heads_of(generator)
    if not heads:
        options = SamplingOptions(num_samples=_DRAWS, num_inference_steps=steps)
        flats = generator.generate_parameters(conditions, options)
        return [flats[i : i + _DRAWS] for i in range(0, len(flats), _DRAWS)]
    seed = int(generator.config.training.get("recipe", {}).get("seed", 0))
    by_head = []
    for input_D in head_inputs(seed, heads, generator.denoiser.config.token_width):
        with reading(generator, input_D):
            by_head.append(generator.generate_parameters(conditions))
    return [list(task) for task in zip(*by_head, strict=True)]


@contextlib.contextmanager
def reading(generator: Generator, input_D: Tensor) -> Iterator[None]:
    """Let a regressor, which starts from zeros, read the input of a head in every token."""
    plain, config = generator.denoiser.denoise, generator.denoiser.config
    alphas_T = torch.as_tensor(make_scheduler(generator.config, None).alphas_cumprod)

    def denoise(tokens_BPD: Tensor, t_B: Tensor, *rest: Any) -> Tensor:
        # The scale is that of training. The tokens are zeros.
        head_BPD = model_input(input_D.expand_as(tokens_BPD), t_B, alphas_T, "sample", config.input_floor)
        return plain(head_BPD, t_B, *rest)

    with mock.patch.object(generator.denoiser, "denoise", denoise):
        yield


def measure(
    generator: Generator, tasks: Sequence[tuple[str, ...]], bank: ImageBank, steps: Sequence[int]
) -> dict[int, Figures]:
    """Return number of steps -> figures. A regressor has one step alone."""
    conditions, runner = encode_tasks(tasks, generator.encoder), TargetRunner(generator.spec, "fp32", 1)
    found = {}
    for number in [1] if heads_of(generator) else steps:
        found[number] = Figures()
        for task, flats in zip(tasks, networks(generator, conditions, number), strict=True):
            rows, slots = bank.rows(task)
            with torch.no_grad():
                logits = torch.stack([runner.logits(flat, len(task), bank.images[rows]) for flat in flats])
            found[number].add(logits, slots)
    return found


def table(results: dict[str, dict[int, Figures]]) -> str:
    """Return two Markdown tables: accuracies with paired differences, and how much draws and steps differ."""
    lines = [
        "| generator | steps | draws | accuracy % | minus one draw | minus the first generator |",
        "|---|---|---|---|---|---|",
    ]
    first = next(iter(results.values()))
    for name, by_steps in results.items():
        for steps, figures in by_steps.items():
            for draws, values in figures.accuracy.items():
                gain = "" if draws == 1 else shown(values, figures.accuracy[1])
                other = first.get(steps)
                base = None if other is None or by_steps is first else other.accuracy.get(draws)
                against = "" if base is None else shown(values, base)
                lines.append(f"| {name} | {steps} | {draws} | {summarize(values).mean:.2f} | {gain} | {against} |")
    lines += [
        "",
        "| generator | steps | spread over draws | answers that differ % | minus one step, one draw |",
        "|---|---|---|---|---|",
    ]
    for name, by_steps in results.items():
        for steps, figures in by_steps.items():
            spread = f"{summarize(figures.spread).mean:.2f}" if figures.spread else ""
            differ = f"{summarize(figures.disagreement).mean:.2f}" if figures.disagreement else ""
            later = shown(figures.accuracy[1], by_steps[1].accuracy[1]) if steps != 1 and 1 in by_steps else ""
            lines.append(f"| {name} | {steps} | {spread} | {differ} | {later} |")
    return "\n".join(lines)


def shown(values: Sequence[float], reference: Sequence[float]) -> str:
    """Return the mean paired difference with its standard error."""
    difference = paired(values, reference)
    error = (difference.std or 0.0) / math.sqrt(difference.n)
    return f"{difference.mean:+.2f} ± {error:.2f}"


def row_name(generator: Generator, taken: Container[str]) -> str:
    """Return what the rows of a generator are called.

    Raises:
        ConfigError: another generator has this name.
    """
    name = generator.name
    if generator.folder is not None and name in ("generator", "best"):  # all runs export folders of these names
        folder = generator.folder.resolve()
        name = folder.parent.name if folder.parent.name not in taken else f"{folder.parent.name}/{folder.name}"
    if name in taken:
        raise ConfigError(f"Two generators would both be called '{name}'; rename the folder of one.")
    return name


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="generators: folders or registered names; the first is compared with")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--classes", type=int, default=10, help="classes of a task")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2], help="numbers of sampling steps")
    given = parser.parse_args(words)
    dataset = registries().datasets.create(given.dataset)
    tasks = [t.classes for t in sample_split_tasks(dataset, "validation", given.classes, given.tasks, seed=0)]
    results: dict[str, dict[int, Figures]] = {}
    banks: dict[str, ImageBank] = {}
    for model in given.models:
        generator = Generator.from_pretrained(model, device="cpu", encoder=given.encoder)
        kind = generator.spec.architecture.name
        if kind not in banks:
            banks[kind] = ImageBank(dataset, "validation", generator.spec)
        results[row_name(generator, results)] = measure(generator, tasks, banks[kind], given.steps)
    print(
        f"{len(tasks)} validation tasks of {given.classes} classes, validation images; differences ± standard error.\n"
    )
    print(table(results))


if __name__ == "__main__":
    run(main)
