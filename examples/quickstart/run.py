"""Run the quick start: zoo, training and evaluation on drawn pictures, offline, on a CPU, in minutes.

    python examples/quickstart/run.py --out outputs/quickstart

The script runs commands of ``tina`` and prints each one first, so that you can run them yourself.
After a stop, call it again with the same folder: it continues where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from PIL import Image

from tina_framework.plugin.discovery import registries
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.tasks import save_tasks

HERE = Path(__file__).resolve().parent
if HERE.is_relative_to(Path.cwd()):  # so that the printed commands are short and work in every copy of the project
    HERE = HERE.relative_to(Path.cwd())
DATASET = "shapes:120"
METHODS = "tina,random-prompt,generic,selection,average,nearest,fine-tune"
CLASSES = ("striped red star", "solid green triangle", "dotted yellow circle", "outlined blue square")
"""The classes of the last step; the first two are held out of all training."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Zoo, training and evaluation on drawn pictures.")
    parser.add_argument("--out", type=Path, default=Path("outputs/quickstart"), help="folder for all results")
    parser.add_argument("--workers", type=int, default=2, help="CPU processes of the zoo builder")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()

    title("1. A zoo: an ordinary network for 48 classes, and 32 copies fine-tuned on a few classes each")
    zoo, workers = str(out / "zoo"), str(arguments.workers)
    tina("zoo", "build", "--out", zoo, "--dataset", DATASET, "--config", HERE / "zoo.toml", "--workers", workers)
    tina("zoo", "info", zoo)

    title("2. A generator, trained on the zoo and on training images")
    train = ("--config", HERE / "train.toml", "--zoo", zoo, "--output_dir", out / "run")
    tina("train", *train, "--resume_from_checkpoint", "latest")

    title("3. Evaluation on class sets that training never saw, and on classes that it never saw")
    number = draw_tasks(out / "tasks.json")
    print(f"Wrote {number} tasks to {out / 'tasks.json'}.", flush=True)
    evaluate = ("--model", out / "run" / "generator", "--dataset", DATASET, "--tasks", out / "tasks.json", "--zoo", zoo)
    tina("evaluate", *evaluate, "--methods", METHODS, "--fine-tune-tasks", "10", "--out", out / "results")

    title("4. A classifier for four classes, two of them never trained on")
    tina("generate", *CLASSES, "--model", out / "run" / "generator", "--out", out / "classifier")
    tina("classify", out / "classifier", *draw_pictures(out / "pictures"), "--top-k", "2")

    seconds = time.perf_counter() - begin
    print(f"\nDone in {seconds:.0f} s. The whole table: {out / 'results' / 'results.md'}")
    (out / "seconds.json").write_text(json.dumps({"seconds": round(seconds, 1)}) + "\n", encoding="utf-8")


def title(text: str) -> None:
    print(f"\n{text}\n", flush=True)


def tina(*words: str | Path) -> None:
    """Run one command of ``tina``, and end the script if it fails."""
    arguments = [str(word) for word in words]
    print("$ tina " + shlex.join(arguments), flush=True)
    begin = time.perf_counter()
    # One thread is fastest for networks this small, and makes the figures the same on any number of cores.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run([sys.executable, "-m", "tina_framework.cli", *arguments], check=False, env=environment)
    if done.returncode != 0:
        sys.exit(done.returncode)
    print(f"({time.perf_counter() - begin:.0f} s)\n", flush=True)


def draw_tasks(path: Path) -> int:
    """Write 30 tasks of 4, 6 and 8 classes for each of the two splits, and return the number of tasks."""
    held_out = tomllib.loads((HERE / "zoo.toml").read_text(encoding="utf-8"))["held_out_classes"]
    dataset = registries().datasets.create(DATASET)
    tasks = [
        task
        for split in ("unseen-combination", "unseen-classes")
        for count in (4, 6, 8)
        for task in sample_split_tasks(dataset, split, count, 30, held_out=held_out)
    ]
    save_tasks(path, tasks)
    return len(tasks)


def draw_pictures(folder: Path) -> list[Path]:
    """Save an enlarged test picture of each of `CLASSES`."""
    folder.mkdir(exist_ok=True)
    dataset = registries().datasets.create(DATASET)
    test = dataset.load("test")
    files = []
    for name in CLASSES:
        place = int((test.labels == dataset.class_names.index(name)).argmax())
        file = folder / f"{name.replace(' ', '-')}.png"
        Image.fromarray(test.images[place]).resize((128, 128), Image.Resampling.NEAREST).save(file)
        files.append(file)
    return files


if __name__ == "__main__":
    main()
