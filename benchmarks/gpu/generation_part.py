"""Part `generation`: milliseconds a model of the shipped generator, one at a time and up to 4,096 in a call."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

from benchmarks.gpu.device import compare_with_cpu, free, peak_gb, repeat, reset_peak
from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record
from tina_framework import Generator

_MODEL = "cifar100-cnn"


def run(record: Record, setup: Setup) -> None:
    sizes = setup.sizes
    record.attempt("against the CPU", lambda: _against_cpu(record))
    for dtype, batches in (("float32", sizes.batches), ("bfloat16", sizes.half_batches)):
        _measure_all(record, batches, sizes.generation_seconds, dtype)
        free()


def _measure_all(record: Record, batches: Sequence[int], seconds: float, dtype: str) -> None:
    generator = record.attempt(f"load in {dtype}", lambda: Generator.from_pretrained(_MODEL, dtype=dtype))
    if generator is None:
        return
    for count in batches:
        name = f"{dtype}, {count} a call"
        record.attempt(name, partial(_measure, record, generator, name, count, seconds))


def _tasks(generator: Generator, count: int, draws: random.Random) -> list[list[str]]:
    names = list(generator.config.class_names)
    return [draws.sample(names, generator.config.max_classes) for _ in range(count)]


def _measure(record: Record, generator: Generator, name: str, count: int, seconds: float) -> None:
    draws = random.Random(count)
    tasks = [_tasks(generator, count, draws) for _ in range(4)]
    # Networks sampled at once: all of a call, up to 1,024.
    batch = min(count, 1024)
    generator(tasks[0][:batch], batch_size=batch)
    reset_peak()
    calls, taken = repeat(lambda: generator(tasks[draws.randrange(4)], batch_size=batch), seconds, least=1)
    record.set(
        name,
        {
            "ms a model": round(1000 * taken / calls / count, 4),
            "models a second": round(calls * count / taken, 2),
            "calls": calls,
            "batch_size": batch,
            "peak memory GB": peak_gb(),
        },
    )


def _against_cpu(record: Record) -> None:
    """Compare the networks of this device with those of the CPU."""
    here, there = Generator.from_pretrained(_MODEL), Generator.from_pretrained(_MODEL, device="cpu")
    tasks = _tasks(here, 8, random.Random(0))
    pairs = zip(here(tasks, seed=1), there(tasks, seed=1), strict=True)
    compare_with_cpu(
        record, "largest difference from the CPU", ((ours.network, theirs.network) for ours, theirs in pairs)
    )
