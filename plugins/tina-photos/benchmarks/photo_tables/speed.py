"""Seconds to generate and to classify, and bytes of what is saved, on the CPU.

Wall time is what a user waits. CPU time also says something on a machine that other programs use; the load is recorded beside it.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from tina_framework import GeneratedClassifier, Generator
from tina_framework.errors import PromptWarning
from tina_photos.architecture import photo_head

__all__ = ["measure_speed"]

_RUNS, _COLD_RUNS, _PHOTOGRAPHS = 10, 5, 96


def _timed(run: Callable[[int], object], runs: int) -> dict[str, float]:
    """Call `run` with 0, 1, ... and return wall and CPU seconds of one call, without the first: the median, and the fastest."""
    wall, cpu = [], []
    for number in range(runs + 1):
        start, busy = time.perf_counter(), time.process_time()
        run(number)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    return _seconds(wall[1:], cpu[1:])


def _seconds(wall: Sequence[float], cpu: Sequence[float]) -> dict[str, float]:
    return {
        "wall_s": statistics.median(wall),
        "cpu_s": statistics.median(cpu),
        "fastest_wall_s": min(wall),
        "fastest_cpu_s": min(cpu),
    }


def measure_speed(
    generator: Generator, model: str, names: Sequence[str], photographs: Sequence[bytes], sizes: Sequence[int]
) -> dict[str, Any]:
    """Return all times and sizes.

    Args:
        generator: the loaded generator.
        model: its name or folder, for the command.
        names: at least 120 names. Each run takes ten others, so that no encoder remembers them.
        photographs: the contents of picture files.
        sizes: pixels.
    """
    with warnings.catch_warnings():
        # The names are those of things, but nobody measures how well they work here.
        warnings.simplefilter("ignore", PromptWarning)
        return _measured(generator, model, names, photographs, sizes)


def _measured(
    generator: Generator, model: str, names: Sequence[str], photographs: Sequence[bytes], sizes: Sequence[int]
) -> dict[str, Any]:
    load = os.getloadavg()[0]
    turns = [list(names[start : start + 10]) for start in range(10, 10 * (_RUNS + 2), 10)]
    warm = _timed(lambda number: generator(turns[number]), _RUNS)
    again = _timed(lambda number: generator(turns[number]), _RUNS)
    classifier = generator(list(names[:10]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        classify = {str(size): _classify(classifier, size, photographs[:_PHOTOGRAPHS]) for size in sizes}
    finally:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        cold = _cold(model, list(names[:10]), Path(folder))
        saved = Path(folder) / "saved"
        classifier.save_pretrained(saved, include_trunk=True, dtype="float16")
        size_bytes = sum(file.stat().st_size for file in saved.rglob("*") if file.is_file())
    return {
        "load": load,
        "threads": threads,
        "generate_warm": warm,
        "generate_warm_again": again,
        "generate_cold_command": cold,
        "classify_ms_per_photograph": classify,
        "saved_with_trunk_float16_bytes": size_bytes,
    }


def _classify(classifier: GeneratedClassifier, size: int, photographs: Sequence[bytes]) -> dict[str, float]:
    """Return milliseconds per photograph on one core: reading the file, the frozen network and the head."""
    other = GeneratedClassifier.from_state(
        photo_head(str(size)), classifier.class_names, classifier.network.state_dict()
    )
    seconds = _timed(lambda number: other.predict(photographs), 3)
    return {key.removesuffix("_s") + "_ms": 1000 * value / len(photographs) for key, value in seconds.items()}


def _cold(model: str, names: Sequence[str], folder: Path) -> dict[str, float]:
    """Return the seconds of the whole command in new processes, after one to warm the disk: the median and the fastest of five."""
    command = [sys.executable, "-m", "tina_framework.cli", "generate", *names, "--model", model]
    wall, cpu = [], []
    for number in range(_COLD_RUNS + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, "--out", str(folder / f"cold{number}")], check=True, capture_output=True)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return _seconds(wall[1:], cpu[1:])
