"""Part `resume`: the shipped recipe for 200 steps, and again from the checkpoint in the middle. Both must be equal, bit for bit."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from torch import Tensor

from benchmarks.gpu.device import cuda, free, peak_gb, recipe, reset_peak
from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record
from tina_framework.training.checkpoint import checkpoint_name
from tina_framework.training.loop import Trainer
from tina_framework.training.resume import flat, tensors
from tina_framework.training.run_folder import CHECKPOINTS
from tina_framework.training.run_log import LOG


def run(record: Record, setup: Setup) -> None:
    # Without it, cuBLAS is not deterministic. It must be set before the first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    equal = record.attempt("as shipped", lambda: _compare(record, setup, deterministic=False), needs=20)
    if equal:
        return
    # Some kernels add in any order. Then only the deterministic ones can be equal.
    equal = record.attempt("deterministic", lambda: _compare(record, setup, deterministic=True), needs=20)
    if equal is False:
        record.error("resume", "A resumed run differs from an uninterrupted one, also with deterministic algorithms.")


def _compare(record: Record, setup: Setup, deterministic: bool) -> bool:
    """Run both, store how they differ, and return whether they are equal."""
    name = "deterministic" if deterministic else "as shipped"
    # Operations without a deterministic kernel warn, and stay as they are.
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    steps = setup.sizes.resume_steps
    half = steps // 2
    whole, branch = setup.work / f"whole-{deterministic}", setup.work / f"branch-{deterministic}"
    common = {
        "max_steps": steps,
        "lr_warmup_steps": min(200, half),
        "checkpointing_steps": half,
        "checkpoints_total_limit": 3,
        "logging_steps": 1,
        "num_validation_tasks": 0,
        "validation_steps": None,
    }
    reset_peak()
    expected, seconds = _train(setup, whole, common)
    memory = peak_gb()
    middle = whole / CHECKPOINTS / checkpoint_name(half)
    found, _ = _train(setup, branch, {**common, "resume_from_checkpoint": middle})
    losses, again = _losses(whole), _losses(branch)
    compared = [step for step in losses if step > half and step in again]
    worst = max(
        ((expected[key].float() - found[key].float()).abs().max().item() for key in expected if key in found),
        default=0.0,
    )
    same_weights = expected.keys() == found.keys() and all(torch.equal(expected[k], found[k]) for k in expected)
    same_losses = bool(compared) and all(losses[step] == again[step] for step in compared)
    record.set(
        name,
        {
            "steps": steps,
            "resumed at": half,
            "optimizer": "fused AdamW" if cuda() else "AdamW",
            "losses bit-equal": same_losses,
            "compared losses": len(compared),
            "weights, average and moments bit-equal": same_weights,
            "largest difference": worst,
            "seconds of the whole run": round(seconds, 2),
            "first losses": [losses[step] for step in sorted(losses)[:3]],
            "last losses": [losses[step] for step in sorted(losses)[-3:]],
            "peak memory GB": memory,
        },
    )
    return same_weights and same_losses


def _train(setup: Setup, folder: Path, changes: dict[str, Any]) -> tuple[dict[str, Tensor], float]:
    """Train, and return weights, average and moments, and the seconds."""
    AcceleratorState._reset_state(reset_partial_state=True)
    began = time.perf_counter()
    trainer = Trainer(recipe(setup, folder, **changes))
    trainer.train()
    seconds = time.perf_counter() - began
    kept = {name: tensor.detach().cpu().clone() for name, tensor in flat(tensors(trainer.stepper)).items()}
    del trainer
    free()
    return kept, seconds


def _losses(folder: Path) -> dict[int, list[float]]:
    """Return the losses and the norm of the gradient of each step in the log."""
    rows = map(json.loads, (folder / LOG).read_text(encoding="utf-8").splitlines())
    names = ("loss", "task_loss", "denoise_loss", "grad_norm")
    return {row["step"]: [row[name] for name in names] for row in rows if row["kind"] == "train"}
