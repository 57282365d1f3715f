"""Measure how long generation takes: one model of random classes, and a batch of 64 models.

    python -m benchmarks.reproduce.timing [--model cifar100-cnn] [--steps N] [--threads 2]

Prints JSON with seconds for each model: median and worst of `--repeats` runs after one warm-up run.
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


def seconds(call: Callable[[], object], repeats: int) -> list[float]:
    """Return the durations of `repeats` calls in seconds, after one call that warms up."""
    call()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    generator = Generator.from_pretrained(arguments.model, device="cpu")
    names = list(generator.config.class_names)
    draws = random.Random(0)

    def task() -> list[str]:
        return draws.sample(names, min(10, generator.config.max_classes))

    one = seconds(lambda: generator(task(), num_inference_steps=arguments.steps), arguments.repeats)
    batch = seconds(
        lambda: generator([task() for _ in range(64)], num_inference_steps=arguments.steps), arguments.repeats
    )
    steps = arguments.steps or generator.config.num_inference_steps
    print(
        json.dumps(
            {
                "model": arguments.model,
                "steps": steps,
                "threads": arguments.threads,
                "one_model_seconds": {"median": statistics.median(one), "worst": max(one)},
                "batch_of_64_seconds_each": {"median": statistics.median(batch) / 64, "worst": max(batch) / 64},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    run(main)
