"""Runs of a few steps: their log, their weights, and how to stop one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
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


def words(settings: dict[str, Any], **changes: Any) -> list[str]:
    """The settings as flags of a command line."""
    return [part for name, value in {**settings, **changes}.items() for part in (f"--{name}", str(value))]


def losses(folder: Path) -> list[list[float]]:
    """The losses and the norm of the gradient of each logged step."""
    rows = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [
        [row["loss"], row["task_loss"], row["denoise_loss"], row["grad_norm"]] for row in rows if row["kind"] == "train"
    ]


PROGRAM = (sys.executable, "-m", "tina_framework.training")


def start_group(
    arguments: Sequence[Sequence[str]], program: Sequence[str] = PROGRAM, **variables: str
) -> list[subprocess.Popen[str]]:
    """Start the processes of one run without a launcher, each with its own arguments, as on separate machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": str(len(arguments)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [*program, *own],
            env={
                **os.environ,
                **group,
                "CUDA_VISIBLE_DEVICES": "",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, own in enumerate(arguments)
    ]


def finish(group: list[subprocess.Popen[str]], seconds: float = 240) -> list[tuple[int, str]]:
    """Wait for the processes, and return the exit code and the standard error of each."""
    deadline = time.monotonic() + seconds
    try:
        return [
            (process.wait(max(0.1, deadline - time.monotonic())), process.communicate()[1].strip()) for process in group
        ]
    finally:
        for process in group:
            if process.poll() is None:
                process.kill()
                process.communicate()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
