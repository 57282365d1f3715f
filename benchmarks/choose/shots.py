"""Measure fine-tuning on 1, 5, 20, 50 and 100 pictures a class, from four starts.

    python -m benchmarks.choose.shots --dataset arrays:cifar100.npz --encoder embedding-table:TABLE.npz   # choose
    python -m benchmarks.choose.shots --test --dataset ... --encoder ...                                # report

The starts are `tina` (the generated network), `selection` (the generic model with the rows of the task), `new-head`
(the generic model's shared tensors with fresh rows) and `scratch` (a fresh network).

Generator and generic model were trained on the training images, so fine-tuning uses validation images. Choosing takes
ten-class tasks of the validation partition; one half of each class's validation images is for fine-tuning, the other
for measuring. Reporting (`--test`) takes reserved tasks; all validation images are for fine-tuning, test images for
measuring. If a class has too few validation images, training images fill up. `unseen` in the result is the number of
pictures a class that are no training images. Filled-up figures are too low for `tina` and `selection`, which know
these pictures.

`--look grey` and `--look dark` change all pictures. They show what fine-tuning is worth for pictures unlike
CIFAR-100's.

Each start has its own settings for every number of pictures: the best of `grid`. Choosing writes them to
OUT/shots.json, and `--settings` reads them. `--settings defaults` takes those of `fine_tune` instead. The figures of
choosing are slightly too good for all starts, because they are the best of several on the same pictures. A stopped
command continues where it was: every measured network is a line of OUT/cells.jsonl.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.choose.shots_setup import LOOKS, SHOTS, STARTS, Setup, default_settings
from benchmarks.script import command_line, run
from tina_framework.cli.output import progress_bar
from tina_framework.errors import ConfigError
from tina_framework.evaluation.environment import busy_warning, describe_machine, now
from tina_framework.evaluation.statistics import paired, summarize
from tina_framework.storage.files import write_json


def summary(setup: Setup, found: dict[tuple[Any, ...], dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of all `starts` in percent and, when choosing, of the `grid` and the `chosen` settings."""

    def values(start: str, shots: int, label: str, key: str = "accuracy") -> list[float]:
        return [found[i, start, shots, label][key] * (100 if key == "accuracy" else 1) for i in range(len(setup.tasks))]

    def rounded(numbers: Any) -> dict[str, Any]:
        of = numbers.to_json()
        return {"mean": round(of["mean"], 3), "ci95": of["ci95"] and [round(end, 3) for end in of["ci95"]]}

    best: dict[tuple[str, int], str] = {}
    for start in setup.arguments.starts:
        best[start, 0] = ""
        for n, labels in setup.settings[start].items():
            best[start, n] = max(labels, key=lambda label: summarize(values(start, n, label)).mean)
    starts: dict[str, list[dict[str, Any]]] = {}
    for (start, n), label in best.items():
        mine, seconds = values(start, n, label), sorted(values(start, n, label, "seconds"))
        row = {"shots": n, "unseen": found[0, start, n, label]["unseen"], **rounded(summarize(mine))}
        row["seconds"] = round(seconds[len(seconds) // 2], 3)
        if n:
            row["settings"] = asdict(setup.settings[start][n][label])
            row["minus_start"] = rounded(paired(mine, values(start, 0, "")))
        if start != "selection" and ("selection", n) in best:
            row["minus_selection"] = rounded(paired(mine, values("selection", n, best["selection", n])))
        starts.setdefault(start, []).append(row)
    result: dict[str, Any] = {"starts": starts}
    if not setup.arguments.test:
        result["chosen"] = {
            s: {row["shots"]: row["settings"] for row in rows if row["shots"]} for s, rows in starts.items()
        }
        result["grid"] = {
            start: {
                n: {label: rounded(summarize(values(start, n, label))) for label in labels} for n, labels in by.items()
            }
            for start, by in setup.settings.items()
        }
    return result


def curves(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what `python -m benchmarks.plots` draws: accuracies as fractions of 1."""
    return {
        start: [
            {"shots": row["shots"], "mean": row["mean"] / 100, "ci95": row["ci95"] and [v / 100 for v in row["ci95"]]}
            for row in rows
        ]
        for start, rows in result["starts"].items()
    }


def run_all(setup: Setup, out: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Measure every cell (task, start, pictures, settings), or read it from OUT/cells.jsonl.

    Raises:
        ConfigError: the file was measured with other settings.
    """
    given = setup.arguments
    # The number of tasks, starts and pictures may differ: a longer run continues a shorter one.
    same: dict[str, Any] = {key: getattr(given, key) for key in ("model", "dataset", "encoder", "seed", "test", "look")}
    if given.test:
        chosen = default_settings(SHOTS) if setup.defaults else setup.chosen
        same |= {"task_file": given.task_file, "chosen": chosen}
    path = out / "cells.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    whole = [json.loads(line) for line in lines if line.endswith("\n")]  # a stopped run may have cut off the last line
    if whole and whole[0] != same:
        raise ConfigError(f"'{out}' holds a run with other settings; name another folder with --out.")
    path.write_text("".join(json.dumps(entry) + "\n" for entry in whole or [same]), encoding="utf-8")
    found = {tuple(entry["cell"]): entry for entry in whole[1:]}
    todo = [cell for cell in setup.cells() if cell not in found]
    with (
        path.open("a", encoding="utf-8") as log,
        progress_bar("Networks", len(found) + len(todo), done=len(found)) as advance,
    ):
        for cell in todo:
            entry = setup.run(cell)
            log.write(json.dumps(entry) + "\n")
            log.flush()
            found[cell] = entry
            advance(note=f"{cell[1]}, {cell[2]} a class: {100 * entry['accuracy']:.1f} %")
    return found


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", default=None, help="default: the generator's own")
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--test", action="store_true", help="report on reserved tasks and test images")
    parser.add_argument("--task-file", default="examples/cifar100/tasks-10.json", help="reserved tasks, for --test")
    parser.add_argument(
        "--settings",
        type=Path,
        default=Path(__file__).with_name("shots.json"),
        help="for --test: a file of chosen settings, or 'defaults' for those of `fine_tune`",
    )
    parser.add_argument("--tasks", type=int, default=12, help="number of tasks; the first of a file")
    parser.add_argument("--shots", type=lambda text: tuple(int(n) for n in text.split(",")), default=SHOTS)
    parser.add_argument("--starts", type=lambda text: tuple(text.split(",")), default=STARTS)
    parser.add_argument("--look", choices=tuple(LOOKS), default="plain", help="how all pictures are changed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("outputs/shots"))
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    arguments, busy = parse(words), busy_warning()
    setup = Setup(arguments)
    result = summary(setup, run_all(setup, arguments.out))
    result["setup"] = {
        "command": command_line("choose.shots", words),
        "date": now(),
        "seed": arguments.seed,
        "tasks": [list(task.classes) for task in setup.tasks],
        "images": "test" if arguments.test else "second half of each class's validation images",
        "machine": describe_machine(torch.device("cpu")),
        "busy": busy,
    }
    write_json(arguments.out / "shots.json", result)
    if arguments.test:
        write_json(arguments.out / "usefulness.json", {"starts": curves(result)})
    for start, rows in result["starts"].items():
        for row in rows:
            print(
                f"{start:<10} {row['shots']:>4} a class ({row['unseen']} unseen)  "
                f"{row['mean']:.2f}  {row['ci95']}  {row['seconds']} s"
            )


if __name__ == "__main__":
    run(main)
