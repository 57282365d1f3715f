"""Measure the training steps a second of the recipe of the bundled `cifar100-cnn`, as `tina train` runs it.

    python -m benchmarks.reproduce.training_speed --dataset arrays:cifar100.npz [--steps 40] [--threads 2]

Prints JSON with the seconds of a step, from the log of the run: median, best and worst. The first five steps warm up. The text
vectors are those of `clip-lite`, which have the width of CLIP's, so no table is needed.

It measures any version of the package that is first in PYTHONPATH:

    PYTHONPATH=OTHER_CHECKOUT python benchmarks/reproduce/training_speed.py --dataset arrays:cifar100.npz
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import tina_framework
from benchmarks.script import run
from tina_framework.training.__main__ import train

WARM_UP = 5


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(words)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # torch, which is not imported yet, reads it
    root = Path(tina_framework.__file__).resolve().parent.parent
    steps = WARM_UP + arguments.steps
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "config": root / "examples" / "cifar100" / "train.toml",
            "dataset": arguments.dataset,
            "zoo": root / "tina_framework" / "pretrained" / "cifar100-zoo",
            "encoders": "clip-lite",
            "output_dir": Path(folder) / "run",
            "num_validation_tasks": 0,
            "max_steps": steps,
            "checkpointing_steps": 1_000_000,
            "logging_steps": 1,
        }
        with contextlib.redirect_stdout(sys.stderr):
            train([word for name, value in given.items() for word in (f"--{name}", str(value))], "training_speed")
        lines = [json.loads(line) for line in (Path(folder) / "run" / "log.jsonl").read_text().splitlines()]
    ends = [line["seconds"] for line in lines if line["kind"] == "train"]
    seconds = [after - before for before, after in itertools.pairwise(ends)][WARM_UP - 1 :]
    print(
        json.dumps(
            {
                "threads": arguments.threads,
                "steps": len(seconds),
                "steps_a_second": len(seconds) / sum(seconds),
                "seconds_a_step": {
                    "median": statistics.median(seconds),
                    "best": min(seconds),
                    "worst": max(seconds),
                },
                "loss_of_the_last_step": [line["loss"] for line in lines if line["kind"] == "train"][-1],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    run(main)
