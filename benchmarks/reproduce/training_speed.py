"""Measure the training steps a second of the recipe of the bundled `cifar100-cnn`.

    python -m benchmarks.reproduce.training_speed --dataset arrays:cifar100.npz [--steps 40] [--threads 2]

Prints JSON with the seconds of a step: median, best and worst, and the processor time of all threads together. The first five
steps warm up. The text vectors are those of `clip-lite`, which have the width of CLIP's, so no table is needed.

It measures any version of the package that is first in PYTHONPATH:

    PYTHONPATH=OTHER_CHECKOUT python benchmarks/reproduce/training_speed.py --dataset arrays:cifar100.npz
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import tomllib
from pathlib import Path

import torch

import tina_framework
from benchmarks.script import run
from tina_framework.config.training import TrainingConfig
from tina_framework.training.loop import Trainer

WARM_UP = 5


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    root = Path(tina_framework.__file__).resolve().parent.parent
    settings = tomllib.loads((root / "examples" / "cifar100" / "train.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            TrainingConfig.model_validate(
                settings
                | {
                    "dataset": arguments.dataset,
                    "zoo": str(root / "tina_framework" / "pretrained" / "cifar100-zoo"),
                    "encoders": ["clip-lite"],
                    "output_dir": str(Path(folder) / "run"),
                    "num_validation_tasks": 0,
                }
            )
        )
        wall: list[float] = []
        processor: list[float] = []
        losses: dict[str, float] = {}
        try:
            for number in range(WARM_UP + arguments.steps):
                started, used = time.perf_counter(), time.process_time()
                losses, _ = trainer.stepper.train_step()
                if number >= WARM_UP:
                    wall.append(time.perf_counter() - started)
                    processor.append(time.process_time() - used)
        finally:
            trainer.close()
    report = {
        name: {"median": statistics.median(values), "best": min(values), "worst": max(values)}
        for name, values in (("wall", wall), ("processor", processor))
    }
    print(
        json.dumps(
            {
                "threads": arguments.threads,
                "steps": arguments.steps,
                "steps_a_second": arguments.steps / sum(wall),
                "seconds_a_step": report,
                "losses_of_the_last_step": losses,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    run(main)
