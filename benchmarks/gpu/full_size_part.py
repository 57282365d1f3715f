"""Part `full_size`: training steps of the preset `tina`, 1,000 DDPM steps of one model, and loading it in bfloat16."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.device import cuda, free, opened, peak_gb, recipe, repeat, reset_peak, synchronize
from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record
from tina_framework import Generator
from tina_framework.training.export import make_generator
from tina_framework.training.loop import Trainer

PUBLISHED_SECONDS = 4.88
"""Seconds of the paper for 1,000 DDPM steps of one model."""


def run(record: Record, setup: Setup) -> None:
    # The first run also samples and saves, because making 1.2 billion weights takes long.
    record.attempt("bf16", lambda: _run(record, setup, "bf16"), needs=30)
    free()
    record.attempt("fp32", lambda: _run(record, setup, "no"), needs=30)
    free()
    folder = setup.work / "full-size-generator"
    if folder.is_dir():
        record.attempt("load in bfloat16", lambda: _load(record, setup), needs=15)


def _run(record: Record, setup: Setup, precision: str) -> None:
    """Take some steps with AdamW and the average of the weights."""
    name = "fp32" if precision == "no" else precision
    config = recipe(
        setup,
        setup.work / f"full-size-{name}",
        file=None,
        preset=setup.sizes.preset,
        encoders="clip-lite",
        mixed_precision=precision,
        tf32=False,
        images_per_task=min(50, setup.sizes.images_per_task),
        task_batch_size=2,
        denoise_batch_size=2,
        max_steps=setup.sizes.full_steps,
        lr_warmup_steps=0,
        num_validation_tasks=0,
        validation_steps=None,
        checkpointing_steps=None,
    )
    reset_peak()
    began = time.perf_counter()
    with opened(config) as trainer:
        opening = time.perf_counter() - began
        began = time.perf_counter()
        losses, norm = trainer.stepper.train_step()
        synchronize()
        first = time.perf_counter() - began
        steps, seconds = repeat(lambda: trainer.stepper.train_step(), 1e9, most=max(2, setup.sizes.full_steps - 1))
        record.set(
            f"training, {name}",
            {
                "parameters": sum(p.numel() for p in trainer.stepper.denoiser.parameters()),
                "optimizer": config.optim,
                "seconds to open": round(opening, 2),
                "seconds of the first step": round(first, 3),
                "seconds a step": round(seconds / steps, 4),
                "peak memory GB": peak_gb(),
                "losses": losses,
                "norm": norm,
            },
        )
        if precision != "no":
            _sample(record, setup, trainer)


def _sample(record: Record, setup: Setup, trainer: Trainer) -> None:
    """Sample with the averaged weights in float32, TF32 and bfloat16, and save the generator."""
    # Moments and gradients are no longer needed, and their memory would count.
    trainer.stepper.optimizer.zero_grad(set_to_none=True)
    trainer.stepper.optimizer.state.clear()
    free()
    generator = make_generator(trainer.components, trainer.stepper.ema.denoiser())
    record.attempt("sampling, fp32", lambda: _ddpm(record, setup, generator, "fp32"))
    record.attempt("sampling, TF32", lambda: _with_tf32(lambda: _ddpm(record, setup, generator, "TF32")))
    folder = setup.work / "full-size-generator"

    def save() -> None:
        began = time.perf_counter()
        generator.save_pretrained(folder)
        record.set("seconds to save", round(time.perf_counter() - began, 2))

    record.attempt("save", save, needs=40)


def _with_tf32(act: Callable[[], None]) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        act()
    finally:
        torch.set_float32_matmul_precision(before)


def _ddpm(record: Record, setup: Setup, generator: Generator, name: str) -> None:
    """Sample one model in 1,000 DDPM steps, after a few steps that warm up."""
    names = random.Random(0).sample(list(generator.config.class_names), generator.config.max_classes)
    steps = setup.sizes.ddpm_steps
    generator(names, scheduler="ddpm", num_inference_steps=min(20, steps))
    synchronize()
    reset_peak()
    began = time.perf_counter()
    model = generator(names, scheduler="ddpm", num_inference_steps=steps)
    synchronize()
    seconds = time.perf_counter() - began
    figures: dict[str, Any] = {
        "steps": steps,
        "seconds": round(seconds, 3),
        "published seconds": PUBLISHED_SECONDS,
        "faster than published": seconds < PUBLISHED_SECONDS,
        "peak memory GB": peak_gb(),
        "finite": all(bool(p.isfinite().all()) for p in model.network.parameters()),
    }
    record.set(f"sampling, {name}", figures)


def _load(record: Record, setup: Setup) -> None:
    """Load the saved generator straight to the device in half its size, and sample with it."""
    reset_peak()
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    generator = Generator.from_pretrained(setup.work / "full-size-generator", dtype="bfloat16")
    synchronize()
    figures: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 2)}
    figures["weights GB"] = round(sum(p.numel() * p.element_size() for p in generator.denoiser.parameters()) / 1e9, 3)
    figures["peak memory of the device GB" if cuda() else "peak memory GB"] = peak_gb()
    # Only a new peak of the process is seen; the training before had one, too.
    figures["new peak of the host GB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - host) * 1024 / 1e9
    record.set("loading, bf16", figures)
    _ddpm(record, setup, generator, "bf16 weights")
