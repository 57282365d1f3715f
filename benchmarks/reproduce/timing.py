"""Measure how long generation takes: one model of random classes, and a batch of 64 models.

    python -m benchmarks.reproduce.timing [--model cifar100-cnn] [--steps N] [--threads 2] [--repeats 30]

Every run has another seed and other classes. Prints JSON with seconds for each model: median, best and worst. One model is
measured with names that were not read before, each name once, and then `--repeats` times with names that were read before. The
batch runs a third as often. The processor time, of all threads together, tells more where other programs run at the same time.

It uses public functions only, so it measures any version of the package that is first in PYTHONPATH:

    PYTHONPATH=OTHER_CHECKOUT python benchmarks/reproduce/timing.py
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.script import run
from tina_framework import Generator


def seconds(call: Callable[[int], object], repeats: int, models: int = 1) -> dict[str, dict[str, float]]:
    """Call with the numbers 0 to `repeats`. Return statistics of the seconds a model, without call 0, which warms up."""
    call(0)
    wall, processor = [], []
    for number in range(1, repeats + 1):
        started, used = time.perf_counter(), time.process_time()
        call(number)
        wall.append((time.perf_counter() - started) / models)
        processor.append((time.process_time() - used) / models)
    return {
        name: {"median": statistics.median(values), "best": min(values), "worst": max(values)}
        for name, values in (("wall", wall), ("processor", processor))
    }


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--classes", type=int, default=10)
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    generator = Generator.from_pretrained(arguments.model, device="cpu")
    names = list(generator.config.class_names)
    draws = random.Random(0)
    classes = min(arguments.classes, generator.config.max_classes)

    def task() -> list[str]:
        return draws.sample(names, classes)

    steps, shuffled = arguments.steps, draws.sample(names, len(names))
    unread = [shuffled[start : start + classes] for start in range(0, len(names) - classes + 1, classes)]
    new = seconds(lambda seed: generator(unread[seed], seed=seed, num_inference_steps=steps), len(unread) - 1)
    generator([names[start : start + 2] for start in range(0, len(names) - 1)])
    one = seconds(lambda seed: generator(task(), seed=seed, num_inference_steps=steps), arguments.repeats)
    batch = seconds(
        lambda seed: generator([task() for _ in range(64)], seed=seed, num_inference_steps=steps),
        max(3, arguments.repeats // 3),
        64,
    )
    print(
        json.dumps(
            {
                "model": arguments.model,
                "steps": steps or generator.config.num_inference_steps,
                "classes": classes,
                "threads": arguments.threads,
                "one_model_of_new_names_seconds": new,
                "one_model_seconds": one,
                "batch_of_64_seconds_each": batch,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    run(main)
