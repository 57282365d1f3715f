"""Compare ways to round a network of `cnn-2layer` to 8 bits, with real numbers that are rounded.

    python -m benchmarks.choose.int8 --dataset arrays:cifar100.npz

The tasks and pictures are those of validation; 100 training pictures of each task choose the ranges. The script prints a Markdown
table. `tina_framework.builtins.exporters.c` does what the last row says, with integers.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.script import run
from tina_framework import Generator
from tina_framework.builtins.exporters.c.rounding import rounded_weights
from tina_framework.cli.output import progress_bar
from tina_framework.evaluation.statistics import summarize
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.splits import sample_split_tasks

ALL = frozenset({"input", "w1", "w2", "w3", "a1", "a2", "means"})


@dataclass(frozen=True)
class Way:
    """A way to round.

    Attributes:
        label: in the table.
        parts: which parts are rounded.
        quantile: of the activations that a range covers.
        mean_bits: bits of the means.
        weights: ``nearest``, ``corrected`` (and biases correct the mean error), or ``gptq``.
    """

    label: str
    parts: Collection[str] = ALL
    quantile: float = 1.0
    mean_bits: int = 8
    weights: str = "nearest"


WAYS = (
    Way("the input alone", {"input"}),
    Way("weights of the first convolution alone", {"w1"}),
    Way("weights of the second convolution alone", {"w2"}),
    Way("weights of the linear layer alone", {"w3"}),
    Way("activations of the first convolution alone", {"a1"}),
    Way("activations of the second convolution alone", {"a2"}),
    Way("the means alone, with 8 bits", {"means"}),
    Way("everything"),
    Way("everything, ranges without the highest 0.1 % of activations", quantile=0.999),
    Way("everything, ranges without the highest 0.5 % of activations", quantile=0.995),
    Way("everything, biases corrected", weights="corrected"),
    Way("everything, means with 16 bits, biases corrected", mean_bits=16, weights="corrected"),
    Way("everything, means with 16 bits, weights rounded as in GPTQ", mean_bits=16, weights="gptq"),
)


EXACT = Way("", ())


def rounded(value: Tensor, low: float, high: float, bits: int = 8) -> Tensor:
    """Return a value rounded to steps between two numbers."""
    step = (high - low) / (2**bits - 1)
    result: Tensor = ((value.clamp(low, high) - low) / step).round() * step + low
    return result


class Rounded:
    """A network whose parts are rounded, one layer after the other, on pictures (N, 3, 32, 32) for calibration."""

    def __init__(self, state: dict[str, Tensor], way: Way, images: Tensor) -> None:
        self._way = way
        self._ranges: dict[str, float] = {}
        self._layers: dict[str, tuple[Tensor, Tensor]] = {}
        self._outputs: dict[str, Tensor] = {}
        names = {"w1": "conv1", "w2": "conv2", "w3": "fc"}
        self._state = {
            part: (state[f"{name}.weight"], state.get(f"{name}.bias", torch.zeros(len(state[f"{name}.weight"]))))
            for part, name in names.items()
        }
        if way.weights == "corrected":
            self._real = Rounded(state, EXACT, images)
        self(images)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits. The first call chooses ranges and weights."""
        hidden = rounded(images, -1, 1) if "input" in self._way.parts else images
        hidden = self._activation("a1", F.relu(self._layer("w1", hidden, stride=2)))
        hidden = self._activation("a2", F.relu(self._layer("w2", hidden, stride=1)))
        means = self._activation("means", hidden.mean(dim=(2, 3)), self._way.mean_bits)
        return self._layer("w3", means, stride=1)

    def _activation(self, part: str, value: Tensor, bits: int = 8) -> Tensor:
        if part not in self._ranges:
            # Means of 16 bits need no range of their own: they cannot exceed what they are means of.
            covered = self._ranges["a2"] if bits == 16 else float(np.quantile(value.numpy(), self._way.quantile))
            self._ranges[part] = max(covered, 1e-6)
        return rounded(value, 0, self._ranges[part], bits) if part in self._way.parts else value

    def _layer(self, part: str, value: Tensor, stride: int) -> Tensor:
        if part not in self._layers:
            self._layers[part] = self._rounded_layer(part, value, stride)
            self._outputs[part] = _result(*self._layers[part], value, stride)
        return _result(*self._layers[part], value, stride)

    def _rounded_layer(self, part: str, value: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        weight, bias = self._state[part]
        if part not in self._way.parts:
            return weight, bias
        flat = weight.flatten(1).double().numpy()
        scales = np.abs(flat).max(axis=1) / 127
        rows = value if weight.ndim == 2 else F.unfold(value, 3, padding=1, stride=stride).transpose(1, 2).flatten(0, 1)
        read = rows[:: max(1, len(rows) // 20_000)].double().numpy()
        # Without inputs, weights are rounded to the nearest.
        whole, moved = rounded_weights(
            flat, bias.double().numpy(), scales, read if self._way.weights == "gptq" else read[:0]
        )
        weight = torch.from_numpy(whole * scales[:, None]).float().reshape(weight.shape)
        bias = torch.from_numpy(moved).float()
        if self._way.weights == "corrected":
            error = _result(weight, bias, value, stride) - self._real.output(part)
            bias = bias - (error.mean(dim=(0, 2, 3)) if error.ndim == 4 else error.mean(dim=0))
        return weight, bias

    def output(self, part: str) -> Tensor:
        """Return what a layer gave on the pictures for calibration."""
        return self._outputs[part]


def _result(weight: Tensor, bias: Tensor, value: Tensor, stride: int) -> Tensor:
    return F.linear(value, weight, bias) if weight.ndim == 2 else F.conv2d(value, weight, bias, stride, padding=1)


@torch.no_grad()
def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--num-tasks", type=int, default=40)
    given = parser.parse_args(words)
    dataset = registries().datasets.create(given.dataset)
    generator = Generator.from_pretrained("cifar100-cnn", device="cpu")
    tasks = [t.classes for t in sample_split_tasks(dataset, "validation", 10, given.num_tasks, seed=0)]
    flats = generator.generate_parameters(encode_tasks(tasks, generator.encoder))
    validation, training = (ImageBank(dataset, split, generator.spec) for split in ("validation", "train"))
    random = np.random.default_rng(0)
    gains: dict[str, list[float]] = {way.label: [] for way in WAYS}
    same: dict[str, list[float]] = {way.label: [] for way in WAYS}
    with progress_bar("tasks", len(tasks)) as advance:
        for task, flat in zip(tasks, flats, strict=True):
            state = generator.spec.unflatten(flat, len(task))
            rows, slots = validation.rows(task)
            images = validation.images[rows]
            drawn = torch.from_numpy(random.choice(training.rows(task)[0].numpy(), 100, replace=False))
            calibration = training.images[drawn]
            exact = Rounded(state, EXACT, calibration)(images).argmax(1)
            for way in WAYS:
                found = Rounded(state, way, calibration)(images).argmax(1)
                gains[way.label].append(
                    100 * float((found == slots).double().mean() - (exact == slots).double().mean())
                )
                same[way.label].append(100 * float((found == exact).double().mean()))
            advance()
    print("| what is rounded | accuracy, points, 95 % interval | same answers % |\n|---|---|---|")
    for label, values in gains.items():
        found_gain = summarize(values)
        low, high = found_gain.ci95 or (found_gain.mean, found_gain.mean)
        print(f"| {label} | {found_gain.mean:+.2f} ({low:+.2f} to {high:+.2f}) | {summarize(same[label]).mean:.1f} |")


if __name__ == "__main__":
    run(main)
