"""Train settings of the baseline TAPER in turn, and keep the best by validation tasks and validation images.

    python -m benchmarks.taper --dataset arrays:DATA --encoders embedding-table:TABLE --out work/taper

Writes OUT/SETTING-STEPS (a TAPER folder and figures.json) for each setting and OUT/best, a copy of the best. Prints a
Markdown table of gains over classifier selection in points, with standard errors. Finished settings are not trained
again, so a stopped search continues where it was. Those of another zoo, teacher or seed are refused. Two processes can share the work with --shard 0/2 and --shard 1/2;
the last one writes OUT/best. To train one setting longer, use --only NAME --steps N. No test image is used.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.script import PRETRAINED, check_kept, run
from benchmarks.taper.training import TaperRecipe, train_taper
from tina_framework.evaluation.paths import without_folders
from tina_framework.evaluation.taper_model import TaperConfig, TaperModel
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.folders import hashes
from tina_framework.targets.functional import TargetRunner, resolve_precision
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.manifest import manifest_sha256
from tina_framework.zoo.p_models import start_of, task_accuracy
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.teacher import Teacher

BUNDLED_ZOO = PRETRAINED / "cifar100-zoo"

# One factor at a time around "base". "one-base" mixes nothing and is no TAPER:
# it shows what further training of one network on random tasks is worth.
GRID: dict[str, dict[str, Any]] = {
    "base": {},
    "bases-4": {"num_bases": 4},
    "bases-16": {"num_bases": 16},
    "lr-low": {"lr": 3e-4},
    "lr-high": {"lr": 3e-3},
    "mixer-lr-high": {"mixer_lr": 1e-2},
    "spread-high": {"spread": 0.3},
    "one-mixture": {"per_tensor": False},
    "one-base": {"num_bases": 1, "spread": 0.0},
}
MODEL_SETTINGS = ("num_bases", "hidden_size", "per_tensor")
CURVE = 4
"""How often a setting is measured during its training."""


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoders", nargs="+", required=True)
    parser.add_argument(
        "--zoo", type=Path, default=BUNDLED_ZOO, help="zoo whose generic model is the start of all bases"
    )
    parser.add_argument("--out", type=Path, default=Path("work/taper"))
    parser.add_argument(
        "--steps", type=int, default=1600, help="steps of each setting; 1,600 take about 3 minutes on one core"
    )
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=100, help="number of validation tasks")
    parser.add_argument("--teacher", type=Path, help="file of 'tina train-teacher' to learn from as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(GRID), help="train these settings only")
    parser.add_argument("--shard", default="0/1", help="I/N: run every N-th setting, from the I-th")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(words)


def head_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what all figures.json of a search must say, so that they may be compared."""
    return {
        "zoo": manifest_sha256(args.zoo),
        "data set": without_folders(args.dataset),
        "encoders": [without_folders(each) for each in args.encoders],
        "teacher": None if args.teacher is None else hashes(args.teacher)[args.teacher.name],
        "seed": args.seed,
        "number of classes": args.classes,
        "number of tasks": args.tasks,
    }


class Setup:
    """The data, the generic model and the validation tasks that all settings share, with the accuracy of selection."""

    def __init__(self, args: argparse.Namespace) -> None:
        zoo = Zoo.open(args.zoo)
        self.spec = ParameterSpec(registries().architectures.create(zoo.architecture))
        zoo.check(self.spec)
        dataset = registries().datasets.create(args.dataset)
        self.generic = {name: tensor.float() for name, tensor in zoo.generic.items()}
        self.class_names, device = zoo.class_names, torch.device(args.device)
        self.conditions = ConditionBank(dataset.class_names, args.encoders, zoo.class_names)
        dtype = torch.bfloat16 if resolve_precision(device, "auto") == "bf16" else torch.float32
        teacher = None if args.teacher is None else Teacher.load(args.teacher)
        self.images = TrainingImages(dataset, "train", self.spec, device, dtype, teacher)
        self.validation = ImageBank(dataset, "validation", self.spec, device)
        self.runner = TargetRunner(self.spec, "auto", args.threads)
        self.device, self.seed, self.head = device, args.seed, head_of(args)
        counts = {args.classes: 1.0}
        self.sampler = TaskSampler(zoo.class_names, partition="train", class_counts=counts, seed=args.seed)
        held_back = TaskSampler(zoo.class_names, partition="validation", class_counts=counts, seed=args.seed)
        self.tasks: list[Task] = held_back.tasks(args.tasks, allow_fewer=True)
        self.selection = []
        for task in self.tasks:
            rows = [self.class_names.index(name) for name in task.classes]
            flat = self.spec.flatten(start_of(self.spec, self.generic, rows), len(rows))
            self.selection.append(task_accuracy(self.spec, flat, task.classes, self.validation))

    @torch.no_grad()
    def gains(self, taper: TaperModel) -> list[float]:
        """Return the points over selection for each task."""
        found = []
        for task, before in zip(self.tasks, self.selection, strict=True):
            classes = torch.tensor([[self.class_names.index(name) for name in task.classes]], device=self.device)
            condition = self.conditions.of(task.classes).to(self.device)
            flat = taper.networks(condition[None], classes)[0]
            found.append(100 * (task_accuracy(self.spec, flat, task.classes, self.validation) - before))
        return found


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def train_one(setup: Setup, name: str, steps: int, folder: Path) -> None:
    """Train and measure one setting. figures.json is written last, so its folder is complete when this file exists."""
    changes = GRID[name]
    recipe = TaperRecipe(
        steps=steps, seed=setup.seed, **{key: v for key, v in changes.items() if key not in MODEL_SETTINGS}
    )
    config = TaperConfig(
        setup.spec.architecture.name,
        setup.class_names,
        **{key: v for key, v in changes.items() if key in MODEL_SETTINGS},
        training={"setting": name, "recipe": asdict(recipe), "taught_by": setup.images.taught_by},
    )
    torch.manual_seed(setup.seed)
    taper = TaperModel(config, setup.spec, setup.conditions.space)
    taper.start_from(setup.generic, recipe.spread, torch.Generator().manual_seed(setup.seed))
    taper.to(setup.device)
    started, losses, curve = time.perf_counter(), [], []

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        measured = ""
        if step == steps or step % -(-steps // CURVE) == 0:
            mean, error = mean_and_error(setup.gains(taper))
            curve.append({"step": step, "gain": mean, "standard_error": error})
            measured = f", {mean:+.2f} ± {error:.2f} over selection"
        if measured or step % 50 == 0:
            left = (time.perf_counter() - started) / step * (steps - step)
            loss = statistics.mean(losses[-50:])
            print(
                f"{name}: step {step} of {steps}, loss {loss:.3f}{measured}, {left:.0f} s left of this setting",
                file=sys.stderr,
                flush=True,
            )

    train_taper(taper, setup.images, setup.conditions, setup.sampler, setup.runner, recipe, on_step)
    taper.save(folder)
    figures = {
        "head": setup.head,
        "setting": name,
        **asdict(recipe),
        **{key: getattr(config, key) for key in MODEL_SETTINGS},
        "tasks": len(setup.tasks),
        "selection": 100 * statistics.mean(setup.selection),
        "gain": curve[-1]["gain"],
        "standard_error": curve[-1]["standard_error"],
        "curve": curve,
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_json(folder / "figures.json", figures)


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        "| setting | bases | coefficients | lr, mixer | spread | steps | minus selection | curve |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(found, key=lambda row: -row["gain"]):
        curve = ", ".join(f"{point['gain']:+.2f}" for point in row["curve"])
        kind = "a tensor" if row["per_tensor"] else "a network"
        lines.append(
            f"| {row['setting']} | {row['num_bases']} | {kind} | {row['lr']:g}, {row['mixer_lr']:g} | "
            f"{row['spread']:g} | {row['steps']:,} | {row['gain']:+.2f} ± {row['standard_error']:.2f} | {curve} |"
        )
    head = f"{found[0]['tasks']} validation tasks, selection {found[0]['selection']:.2f} %; ± one standard error."
    return "\n".join([head, "", *lines])


def keep_best(out: Path, spec: ParameterSpec) -> None:
    """Copy the best finished setting to OUT/best and print the table. "one-base" mixes nothing and is no candidate."""
    found = [read_json(path) | {"folder": path.parent} for path in sorted(out.glob("*/figures.json"))]
    if not found:
        return
    print(table(found))
    candidates = [row for row in found if row["num_bases"] > 1]
    if candidates:
        best = max(candidates, key=lambda row: row["gain"])
        TaperModel.load(best["folder"], spec).save(out / "best")
        print(f"\nBest: {best['folder'].name}, copied to {out / 'best'}")


def main(words: list[str]) -> None:
    args = parse(words)
    torch.set_num_threads(args.threads)
    index, _, shards = args.shard.partition("/")
    names = (args.only or list(GRID))[int(index) :: int(shards)]
    spec = ParameterSpec(registries().architectures.create(Zoo.open(args.zoo).architecture))
    wanted = {name: args.out / f"{name}-{args.steps}" for name in names}
    for path in sorted(args.out.glob("*/figures.json")):
        check_kept(path, read_json(path), head_of(args))
    waiting = [name for name, folder in wanted.items() if not (folder / "figures.json").is_file()]
    print(f"{len(wanted) - len(waiting)} of {len(wanted)} settings are already finished", file=sys.stderr)
    setup = Setup(args) if waiting else None
    started = time.perf_counter()
    for done, name in enumerate(waiting):
        assert setup is not None
        train_one(setup, name, args.steps, wanted[name])
        each = (time.perf_counter() - started) / (done + 1)
        left = each * (len(waiting) - done - 1)
        print(f"{name} done, {len(waiting) - done - 1} settings left, about {left / 60:.0f} min", file=sys.stderr)
    keep_best(args.out, spec)


if __name__ == "__main__":
    run(main)
