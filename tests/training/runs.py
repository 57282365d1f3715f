"""Runs of a few steps: their log, their weights, and how to stop one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.storage.files import read_safetensors
from tina_framework.training.loop import Trainer
from tina_framework.training.objectives import Batch, Objective

Make = Callable[..., TrainingConfig]


def draw(
    objective: Objective, step: int, indices: Sequence[int], denoiser: Denoiser, together: Sequence[int] = ()
) -> Batch:
    """The denoiser inputs of examples, as a step on the CPU makes them."""
    return objective.batch(objective.draw(step, indices), denoiser, together)


def log(config: TrainingConfig, kind: str = "train") -> list[dict[str, Any]]:
    lines = (config.output_dir / "log.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def weights(config: TrainingConfig, step: int) -> dict[str, torch.Tensor]:
    folder = config.output_dir / "checkpoints" / f"step-{step:08d}"
    return {
        f"{name}/{key}": tensor
        for name in ("model", "ema", "optimizer", "rng-00000")
        for key, tensor in read_safetensors(folder / f"{name}.safetensors").items()
    }


def start(config: TrainingConfig) -> int:
    """The step at which a run starts."""
    trainer = Trainer(config)
    trainer.close()
    return trainer.stepper.step


def stop_after(trainer: Trainer, step: int) -> None:
    """As if a signal came in the middle of that step."""
    train_step = trainer.stepper.train_step

    def wrapped() -> Any:
        result = train_step()
        if trainer.stepper.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    trainer.stepper.train_step = wrapped  # type: ignore[method-assign]
