"""Compare short trainings of the recipe of `cifar100-cnn` that change one factor at a time.

    python -m benchmarks.choose.ablation --dataset arrays:cifar100.npz --encoders embedding-table:cifar100_clip_text.npz
    python -m benchmarks.choose.ablation ... --rows base task-only regressor --seeds 0 1 2     # some rows, more seeds

The rows are those of ablation.toml, or of another --file. Each run trains in OUT/ROW/SEED (`python -m tina_framework.training`, one
thread). Then it is measured on 200 tasks of the validation partition and validation images, in 1, 2 and 50 sampling
steps. Its figures.json has the accuracy of every task. A stopped command continues where it was, even within a run. Figures of
another recipe, zoo or teacher are refused.
The command prints a Markdown table; --table prints the table of the finished runs without training. It uses no test
images.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import tomllib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.choose import ablation_setup as setup
from benchmarks.script import REPOSITORY, check_kept, run
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.evaluation.paths import without_folders
from tina_framework.evaluation.statistics import Summary, paired, summarize
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.folders import hashes
from tina_framework.zoo.manifest import manifest_sha256

STEPS = (1, 2, 50)
# glibc returns large arrays to the system after every step. Getting zeroed pages back took a third of the time.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "8589934592"}


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoders", nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("work/ablation"))
    parser.add_argument(
        "--file", type=Path, default=Path(__file__).with_suffix(".toml"), help="TOML file with the rows"
    )
    parser.add_argument("--config", type=Path, default=REPOSITORY / "examples/cifar100/train.toml")
    parser.add_argument("--zoo", type=Path, default=setup.BUNDLED_ZOO)
    parser.add_argument("--rows", nargs="+", help="run these rows only")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-steps", type=int, help="training steps instead of those of the file; use another --out")
    parser.add_argument("--tasks", type=int, default=200, help="number of validation tasks of ten classes")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time, one thread each")
    parser.add_argument("--teacher", type=Path, help="file of 'tina train-teacher', for rows with a teacher_weight")
    parser.add_argument("--table", action="store_true", help="print the table of finished runs without training")
    return parser.parse_args(words)


def zoo_of(given: argparse.Namespace, row: dict[str, Any]) -> Path:
    zoo: Path = given.out / "zoos" / row["zoo"] if "zoo" in row else given.zoo
    return zoo


def head_of(given: argparse.Namespace, plan: dict[str, Any], name: str, seed: int) -> dict[str, Any]:
    """Return what figures.json must say, so that its figures may be used."""
    row = plan["rows"][name]
    taught = "teacher_weight" in row["change"]
    return {
        "recipe": tomllib.loads(given.config.read_text(encoding="utf-8"))
        | plan["proxy"]
        | row["change"]
        | {"seed": seed},
        "data set": without_folders(given.dataset),
        "encoders": [without_folders(each) for each in given.encoders],
        "zoo": manifest_sha256(zoo_of(given, row)),
        "teacher": hashes(given.teacher)[given.teacher.name] if taught else None,
        "number of tasks": given.tasks,
    }


def train(given: argparse.Namespace, plan: dict[str, Any], name: str, seed: int) -> None:
    """Train one row (or continue its training) and measure it; write figures.json last."""
    row, folder = plan["rows"][name], given.out / name / str(seed)
    zoo, head = zoo_of(given, row), head_of(given, plan, name, seed)
    recipe = head["recipe"] | {"dataset": given.dataset, "encoders": given.encoders, "zoo": str(zoo)}
    if "teacher_weight" in row["change"]:
        recipe["teacher"] = str(given.teacher)
    folder.mkdir(parents=True, exist_ok=True)
    flags = [f"--{key}={setup.as_flag(value)}" for key, value in recipe.items()]
    if any((folder / "checkpoints").glob("step-*/manifest.json")):
        flags.append("--resume_from_checkpoint=latest")
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""), **KEEP_MEMORY}
    started = time.perf_counter()
    with (folder / "output.txt").open("a", encoding="utf-8") as log:

        def call(*words: str) -> None:
            ended = subprocess.run(
                [sys.executable, *words], env={**os.environ, **alone}, stdout=log, stderr=subprocess.STDOUT, check=False
            )
            if ended.returncode:
                raise TrainingError(f"Row '{name}', seed {seed}, failed; see the end of '{log.name}'.")

        call("-m", "tina_framework.training", f"--output_dir={folder}", *flags)
        seconds = time.perf_counter() - started
        measure = [f"{folder / 'generator'}", given.dataset, str(zoo), str(given.tasks), *map(str, STEPS)]
        call("-m", "benchmarks.choose.ablation_setup", *measure, "--encoders", *given.encoders)
    figures = read_json(folder / "generator" / "figures.json")
    write_json(
        folder / "figures.json", {"head": head, "row": name, "seed": seed, "seconds": round(seconds, 1), **figures}
    )


def run_all(given: argparse.Namespace, plan: dict[str, Any], wanted: list[str]) -> None:
    missing = []
    for seed in given.seeds:
        for name in wanted:
            path = given.out / name / str(seed) / "figures.json"
            if path.is_file():
                check_kept(path, read_json(path), head_of(given, plan, name, seed))
            else:
                missing.append((name, seed))
    missing.sort(key=lambda run: "zoo" in plan["rows"][run[0]])
    started = time.perf_counter()

    def say(text: str) -> None:
        print(f"{(time.perf_counter() - started) / 60:.0f} min: {text}", file=sys.stderr, flush=True)

    def one(number: int, name: str, seed: int) -> None:
        if "zoo" in plan["rows"][name]:
            zoos[plan["rows"][name]["zoo"]].result()
        train(given, plan, name, seed)
        left = (time.perf_counter() - started) / (number + 1) * (len(missing) - number - 1) / 60
        say(f"{name}, seed {seed}, run {number + 1} of {len(missing)}; about {left:.0f} min left")

    with ThreadPoolExecutor(given.jobs) as pool:
        # Each zoo is queued before the rows that wait for it. Rows that need no zoo come first, so that no job idles.
        zoos: dict[str, Future[None]] = {}
        runs = []
        for number, (name, seed) in enumerate(missing):
            zoo = plan["rows"][name].get("zoo")
            if zoo is not None and zoo not in zoos:
                zoos[zoo] = pool.submit(setup.build_zoo, given.out / "zoos" / zoo, plan["zoo"][zoo], given, say)
            runs.append(pool.submit(one, number, name, seed))
        try:
            for each in runs:
                each.result()
        except BaseException:
            pool.shutdown(
                wait=False, cancel_futures=True
            )  # otherwise all queued runs would start before the error shows
            raise


def read_figures(out: Path, name: str, seeds: list[int]) -> list[dict[str, Any]]:
    paths = [out / name / str(seed) / "figures.json" for seed in seeds]
    return [read_json(path) for path in paths if path.is_file()]


def percent(values: Summary, signed: bool = True) -> str:
    form = "+.2f" if signed else ".2f"
    if values.ci95 is None:
        return f"{values.mean:{form}}"
    return f"{values.mean:{form}} ({values.ci95[0]:{form}} to {values.ci95[1]:{form}})"


def table(given: argparse.Namespace, plan: dict[str, Any], wanted: list[str]) -> str:
    """Return a Markdown table of gains over `selection` and of paired differences from the row to compare with."""
    lines = [
        "| factor | row | change | seeds | accuracy % | over `selection` | against | difference, paired "
        "| in 1, 2, 50 steps | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in wanted:
        row = plan["rows"][name]
        found = read_figures(given.out, name, given.seeds)
        if not found:
            continue
        against = row.get("against", "base")
        reference = {figures["seed"]: figures for figures in read_figures(given.out, against, given.seeds)}
        default = str(min(2, int(row["change"].get("num_inference_steps", 2))))

        def over(steps: str, figures: dict[str, Any]) -> list[float]:
            return [100 * (a - b) for a, b in zip(figures["accuracy"][steps], figures["selection"], strict=True)]

        def mean_over_seeds(columns: list[list[float]]) -> list[float]:
            return [sum(values) / len(values) for values in zip(*columns, strict=True)]

        gain = mean_over_seeds([over(default, figures) for figures in found])
        accuracy = mean_over_seeds([[100 * a for a in figures["accuracy"][default]] for figures in found])
        shared = [figures for figures in found if figures["seed"] in reference and against != name]
        difference, spread = "", ""
        if shared:
            other = str(min(2, int(plan["rows"][against]["change"].get("num_inference_steps", 2))))
            key = "accuracy" if figures_share_base(shared[0], reference[shared[0]["seed"]]) else "gain"
            ours = [over(default, figures) for figures in shared]
            theirs = [over(other, reference[figures["seed"]]) for figures in shared]
            difference = percent(paired(mean_over_seeds(ours), mean_over_seeds(theirs)))
            difference += "" if key == "accuracy" else " of the gains"
        if len(found) > 1:
            each = [sum(over(default, figures)) / len(figures["selection"]) for figures in found]
            spread = " [" + ", ".join(f"{value:+.2f}" for value in each) + "]"
        elsewhere = ", ".join(
            f"{sum(mean_over_seeds([over(str(s), figures) for figures in found])) / len(gain):+.2f}" for s in STEPS
        )
        change = ", ".join(f"{key} {setup.as_flag(value)}" for key, value in row["change"].items()) or "none"
        if "zoo" in row:
            change = f"zoo `{row['zoo']}`" + ("" if change == "none" else f", {change}")
        lines.append(
            f"| {row['factor']} | `{name}` | {change} | {len(found)} | {summarize(accuracy).mean:.2f} | "
            f"{percent(summarize(gain))}{spread} | "
            f"{f'`{against}`' if shared else ''} | {difference} | {elsewhere} | {found[0]['seconds']:.0f} |"
        )
    return "\n".join(lines)


def figures_share_base(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return bool(ours["selection"] == theirs["selection"])


def main(words: list[str] | None = None) -> None:
    given = parse(words)
    plan = tomllib.loads(given.file.read_text(encoding="utf-8"))
    if given.max_steps is not None:
        plan["proxy"]["max_steps"] = given.max_steps
    wanted = given.rows or list(plan["rows"])
    setup.check(plan, wanted)
    taught = [name for name in wanted if "teacher_weight" in plan["rows"][name]["change"]]
    if taught and given.teacher is None and not given.table:
        raise ConfigError(f"Row '{taught[0]}' learns from a teacher; add --teacher FILE, or choose other --rows.")
    if not given.table:
        run_all(given, plan, wanted)
    print(table(given, plan, wanted))


if __name__ == "__main__":
    run(main)
