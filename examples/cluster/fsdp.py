"""Prove on the CPU that training works with sharded weights (FSDP2): `tina` with less width, in two processes over gloo.

    python examples/cluster/fsdp.py --out outputs/fsdp

1. One process trains; two processes with sharded weights train the same. Their losses must be equal up to rounding.
2. Two processes train again, and one of them is killed. One process resumes for two steps, then two sharded ones resume to the end.
3. All three generators must be equal up to rounding.

On GPUs the same commands train the whole `tina`: leave out --hidden_size and --num_attention_heads, and raise --num_processes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch

from tina_framework import Generator

STEPS = 8
SETTINGS = {
    "dataset": "shapes:40",
    "encoders": "clip-lite",
    "preset": "tina",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "max_classes": 6,
    "class_counts": "4:1,6:1",
    "task_batch_size": 4,
    "denoise_batch_size": 4,
    "images_per_task": 12,
    "rollout_probability": 0.3,
    "lr_warmup_steps": 2,
    "lr_scheduler_type": "constant_with_warmup",
    "num_validation_tasks": 4,
    "validation_steps": 4,
    "checkpointing_steps": 1,
    "logging_steps": 1,
    "target_precision": "fp32",
}
ZOO = """
num_models = 6
class_counts = { 4 = 1, 6 = 1 }
[generic]
epochs = 1
[model]
epochs = 1
"""
LAUNCH = ["-m", "accelerate.commands.launch", "--use_fsdp", "--fsdp_version", "2", "--num_processes", "2"]
LAUNCH += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train with sharded weights on the CPU.")
    parser.add_argument("--out", type=Path, default=Path("outputs/fsdp"), help="folder for all results; it is emptied")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    zoo, one, two, killed = out / "zoo", out / "one", out / "two", out / "killed"
    out.mkdir(parents=True)
    (out / "zoo.toml").write_text(ZOO, encoding="utf-8")
    recipe = ["--config", str(out / "zoo.toml"), "--dataset", "shapes:40"]
    run(["-m", "tina_framework.cli", "zoo", "build", *recipe, "--out", str(zoo)])

    run(train(zoo, one))
    run(train(zoo, two, sharded=True))
    print(f"Largest difference of a loss: {difference(one, two):.1e} of its value.")
    assert difference(one, two) < 1e-5

    command = train(zoo, killed, sharded=True)
    print("$", shlex.join(["python", *command]), "# one process is killed")
    with subprocess.Popen([sys.executable, *command]) as process:
        while not (killed / "checkpoints" / "step-00000003" / "manifest.json").is_file():
            assert process.poll() is None, "the training ended early"
            time.sleep(0.05)
        psutil.Process(process.pid).children()[1].kill()
    assert process.returncode != 0
    reached = max(int(folder.name[-8:]) for folder in (killed / "checkpoints").glob("step-*"))
    again = {"resume_from_checkpoint": "latest"}
    run(train(zoo, killed, max_steps=min(reached + 2, STEPS), **again))
    run(train(zoo, killed, sharded=True, **again))
    print(f"Largest difference after two resumes: {difference(one, killed):.1e}.")
    assert difference(one, killed) < 1e-5

    expected = dict(Generator.from_pretrained(one / "generator", device="cpu").denoiser.named_parameters())
    for folder in (two, killed):
        for name, weights in Generator.from_pretrained(folder / "generator", device="cpu").denoiser.named_parameters():
            torch.testing.assert_close(weights, expected[name], rtol=1e-4, atol=1e-5)
    print("All generators are equal up to rounding.")


def train(zoo: Path, out: Path, *, sharded: bool = False, **changes: object) -> list[str]:
    """Return the arguments of Python that train one run."""
    settings = {**SETTINGS, "zoo": zoo, "output_dir": out, "max_steps": STEPS, **changes}
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return [*(LAUNCH if sharded else []), "-m", "tina_framework.training", *words]


def run(command: list[str]) -> None:
    print("$", shlex.join(["python", *command]), flush=True)
    subprocess.run([sys.executable, *command], check=True)


def difference(first: Path, second: Path) -> float:
    """Return the largest relative difference of the losses of two runs."""
    pairs = zip(losses(first), losses(second), strict=True)
    return max(abs(ours - theirs) / abs(ours) for ours, theirs in pairs)


def losses(folder: Path) -> list[float]:
    rows = map(json.loads, (folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
    found = [row["loss"] for row in rows if row["kind"] == "train"]
    assert len(found) == STEPS
    return found


if __name__ == "__main__":
    main()
