"""Part `resume`: the shipped recipe for 200 steps, and again from the checkpoint in the middle. Both must be equal, bit for bit.

The same for a generator of several networks. Its networks on this device are then compared with those on the CPU.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from torch import Tensor

from benchmarks.gpu.device import RECIPE, compare_with_cpu, cuda, free, peak_gb, recipe, reset_peak
from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record
from benchmarks.script import REPOSITORY
from tina_framework import Generator
from tina_framework.targets.device import resolve_device
from tina_framework.training.checkpoint import checkpoint_name
from tina_framework.training.loop import Trainer
from tina_framework.training.resume import flat, tensors
from tina_framework.training.run_folder import CHECKPOINTS, FINISHED
from tina_framework.training.run_log import LOG
from tina_framework.zoo.build_plan import plan_by_names
from tina_framework.zoo.recipe import read_recipe
from tina_framework.zoo.stages import build_generic

_MANY = REPOSITORY / "examples" / "cifar100" / "many.toml"
_NETWORKS = ("cnn-2layer", "cnn-2layer@0.5")


def run(record: Record, setup: Setup) -> None:
    # Without it, cuBLAS is not deterministic. It must be set before the first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _equal(record, setup, "", RECIPE, {})
    if (zoo := record.attempt("generic models", lambda: _zoo(setup), needs=15)) is not None:
        _equal(record, setup, ", several networks", _MANY, {"zoo": zoo, "architectures": ",".join(_NETWORKS)})
        record.attempt("several networks on the CPU", lambda: _against_cpu(record, setup))


def _equal(record: Record, setup: Setup, which: str, file: Path, changes: Mapping[str, Any]) -> None:
    """Compare an interrupted run with an uninterrupted one; again with deterministic kernels if they differ."""

    def compare(name: str, deterministic: bool) -> bool | None:
        return record.attempt(
            f"{name}{which}", lambda: _compare(record, setup, f"{name}{which}", deterministic, file, changes), needs=20
        )

    if compare("as shipped", False):
        return
    # Some kernels add in any order. Then only the deterministic ones can be equal.
    if compare("deterministic", True) is False:
        record.error(
            f"resume{which}", "A resumed run differs from an uninterrupted one, also with deterministic algorithms."
        )


def _zoo(setup: Setup) -> Path:
    """Train a generic model for each of the networks, shortly."""
    recipe = read_recipe(REPOSITORY / "examples" / "cifar100" / "zoo-2layer.toml", {})
    recipe |= {"architecture": _NETWORKS[0], "generic_widths": [0.5]}
    recipe["generic"] = {**recipe["generic"], "epochs": 1}
    recipe["narrow"] = {**recipe["narrow"], "epochs": 1}
    folder = setup.work / "zoo-of-widths"
    build_generic(plan_by_names(folder, f"arrays:{setup.data}", recipe, device=resolve_device("auto")))
    return folder


def _against_cpu(record: Record, setup: Setup) -> None:
    """Compare the networks that the trained generator writes on this device with those of the CPU."""
    folder = next(setup.work.glob("whole*several*")) / FINISHED
    here, there = Generator.from_pretrained(folder), Generator.from_pretrained(folder, device="cpu")
    classes = list(here.config.class_names)[: here.config.max_classes]
    for name in _NETWORKS:
        ours, theirs = (each(classes, architecture=name).network for each in (here, there))
        compare_with_cpu(record, f"{name}, difference from the CPU", [(ours, theirs)])


def _compare(
    record: Record, setup: Setup, name: str, deterministic: bool, file: Path, changes: Mapping[str, Any]
) -> bool:
    """Run both, store how they differ, and return whether they are equal."""
    # Operations without a deterministic kernel warn, and stay as they are.
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    steps = setup.sizes.resume_steps
    half = steps // 2
    whole, branch = setup.work / f"whole {name}", setup.work / f"branch {name}"
    common = {
        "max_steps": steps,
        "lr_warmup_steps": min(200, half),
        "checkpointing_steps": half,
        "checkpoints_total_limit": 3,
        "logging_steps": 1,
        "num_validation_tasks": 0,
        "validation_steps": None,
        **changes,
    }
    reset_peak()
    expected, seconds = _train(setup, whole, file, common)
    memory = peak_gb()
    middle = whole / CHECKPOINTS / checkpoint_name(half)
    found, _ = _train(setup, branch, file, {**common, "resume_from_checkpoint": middle})
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


def _train(setup: Setup, folder: Path, file: Path, changes: dict[str, Any]) -> tuple[dict[str, Tensor], float]:
    """Train, and return weights, average and moments, and the seconds."""
    AcceleratorState._reset_state(reset_partial_state=True)
    began = time.perf_counter()
    trainer = Trainer(recipe(setup, folder, file, **changes))
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
    return {row["step"]: [row[name] for name in names if name in row] for row in rows if row["kind"] == "train"}
