"""Part `speed`: steps a second of the shipped recipe, by precision and by the number of tasks in a step."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.device import opened, peak_gb, recipe, repeat, reset_peak
from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record

_FP32 = {"tf32": False, "mixed_precision": "no", "target_precision": "fp32"}
_TF32 = {**_FP32, "tf32": True}
_BF16 = {"tf32": True, "mixed_precision": "bf16", "target_precision": "bf16"}


def run(record: Record, setup: Setup) -> None:
    sizes = setup.sizes
    settings: dict[str, dict[str, Any]] = {
        "as shipped": {},
        "fp32": _FP32,
        "TF32": _TF32,
        "bf16": _BF16,
    }
    settings |= {f"TF32, {batch} tasks": {**_TF32, "task_batch_size": batch} for batch in sizes.speed_batches}
    settings |= {f"bf16, {batch} tasks": {**_BF16, "task_batch_size": batch} for batch in sizes.speed_batches[-2:]}
    settings["bf16, im2col"] = {**_BF16, "target_convolution": "im2col"}
    if sizes.compile:
        # Rollouts are compiled on their own, which would take as long again.
        settings["TF32, no rollouts"] = {**_TF32, "rollout_probability": 0}
        settings["TF32, no rollouts, compiled"] = {**settings["TF32, no rollouts"], "torch_compile": True}
    for number, (name, changes) in enumerate(settings.items()):
        needs = 30.0 if changes.get("torch_compile") else 4.0
        record.attempt(name, partial(_measure, record, setup, name, number, changes), needs)


def _measure(record: Record, setup: Setup, name: str, number: int, changes: dict[str, Any]) -> None:
    base: dict[str, Any] = {"num_validation_tasks": 0, "validation_steps": None, "checkpointing_steps": None}
    config = recipe(setup, setup.work / f"speed-{number}", **base, **changes)
    reset_peak()
    began = time.perf_counter()
    with opened(config) as trainer:
        opening = time.perf_counter() - began
        began = time.perf_counter()
        # Constant tables, kernels and compiled code appear at their first use, rollouts in some steps only.
        for _ in range(3):
            losses, _ = trainer.stepper.train_step()
        warm = time.perf_counter() - began
        steps, seconds = repeat(lambda: trainer.stepper.train_step(), setup.sizes.speed_seconds)
        figures = {
            "steps a second": round(steps / seconds, 3),
            "tasks a second": round(steps * config.task_batch_size / seconds, 1),
            "tasks": config.task_batch_size,
            "steps": steps,
            "seconds to open": round(opening, 2),
            "seconds of three first steps": round(warm, 2),
            "peak memory GB": peak_gb(),
            "losses": losses,
        }
    if config.torch_compile:
        torch._dynamo.reset()
    record.set(name, figures)
