"""What the parts share: the device, its memory and clock, and training runs of the shipped recipe on it."""

from __future__ import annotations

import contextlib
import gc
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from torch import nn

from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record
from benchmarks.script import PRETRAINED, REPOSITORY
from tina_framework.config.training import TrainingConfig, load_training_config
from tina_framework.training.loop import Trainer

__all__ = [
    "RECIPE",
    "compare_with_cpu",
    "cuda",
    "free",
    "opened",
    "peak_gb",
    "recipe",
    "repeat",
    "reset_peak",
    "synchronize",
]

RECIPE = REPOSITORY / "examples" / "cifar100" / "train.toml"
"""The recipe of the shipped generator `cifar100-cnn`."""


def cuda() -> bool:
    """Return whether this machine has a GPU of NVIDIA."""
    return torch.cuda.is_available()


def synchronize() -> None:
    """Wait until the device has done all that was asked of it."""
    if cuda():
        torch.cuda.synchronize()


def reset_peak() -> None:
    """Let `peak_gb` count from now on."""
    if cuda():
        torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float:
    """Return the largest memory of the device since `reset_peak`, in GB; on a CPU, that of the process since it began."""
    if cuda():
        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 3)


def free() -> None:
    """Give memory of the device back that nothing refers to."""
    gc.collect()
    if cuda():
        torch.cuda.empty_cache()


def recipe(setup: Setup, folder: Path, file: Path | None = RECIPE, **changes: Any) -> TrainingConfig:
    """Return the settings of a run into `folder`.

    Args:
        setup: names the pictures.
        folder: the output folder.
        file: a recipe; None: the defaults.
        changes: settings that differ from it.
    """
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "dataset": f"arrays:{setup.data}",
        "zoo": str(PRETRAINED / "cifar100-zoo"),
        "images_per_task": setup.sizes.images_per_task,
        **changes,
    }
    return load_training_config({name: _text(value) for name, value in settings.items()}, file)


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


@contextlib.contextmanager
def opened(config: TrainingConfig) -> Iterator[Trainer]:
    """Yield a trainer; close it and free its memory afterwards. Its output folder is removed."""
    # Accelerate keeps the precision of the first run of a process.
    AcceleratorState._reset_state(reset_partial_state=True)
    trainer = Trainer(config)
    try:
        yield trainer
    finally:
        trainer.close()
        trainer.accelerator.free_memory()
        del trainer
        free()
        shutil.rmtree(config.output_dir, ignore_errors=True)


def compare_with_cpu(record: Record, name: str, pairs: Iterable[tuple[nn.Module, nn.Module]]) -> None:
    """Store how far networks of this device differ from those of the CPU.

    Raises:
        AssertionError: by more than rounding.
    """
    worst, largest = 0.0, 0.0
    for ours, theirs in pairs:
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            worst = max(worst, float((mine.detach().cpu() - other.detach()).abs().max()))
            largest = max(largest, float(other.detach().abs().max()))
    record.set(name, {"difference": worst, "largest weight": largest})
    # Float32 sums in another order. TF32 would give about a thousand times as much.
    if worst > 1e-3 * largest:
        raise AssertionError(f"{name}: {worst:g}, and the largest weight is {largest:g}.")


def repeat(act: Callable[[], object], seconds: float, most: int = 10_000, least: int = 2) -> tuple[int, float]:
    """Call a function until so many seconds have passed, `least` to `most` times. Return the number of calls and the seconds."""
    synchronize()
    began, calls = time.perf_counter(), 0
    while calls < least or (time.perf_counter() - began < seconds and calls < most):
        act()
        calls += 1
    synchronize()
    return calls, time.perf_counter() - began
