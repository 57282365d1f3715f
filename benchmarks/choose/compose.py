"""More classes than a generator makes: how to build one classifier from several generated ones.

    python -m benchmarks.choose.compose --dataset arrays:cifar100.npz --encoder embedding-table:cifar100_clip_text.npz          # chooses
    python -m benchmarks.choose.compose --test --tasks 100 --dataset ... --encoder ...                                        # reports

Choosing: tasks of the validation partition, validation images, all candidates of `compose_candidates.candidates`. Reporting: tasks of the
test partition, test images, what ships and the references; --brief: these alone on validation images. What ships is asked of the
generator itself. Accuracy in percent, mean over tasks; differences from `selection` (the generic model with the task's rows) and from the
merged network are paired, with 95 % intervals. Calibration: the mean log loss of the answers as they are, and with
one temperature for all tasks of a class count, chosen on the even tasks and measured on the odd ones, as are both.

With --test or --brief also what the two that ship cost for the first task of a class count: seconds to generate and to classify 1,000
pictures, in one thread, medians of five; parameters; bytes of the folder.

Prints Markdown tables, writes OUT/compose.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.choose.compose_candidates import ENSEMBLE, MERGED, candidates
from benchmarks.choose.compose_setup import Case, Setup
from benchmarks.script import command_line, run
from tina_framework.cli.output import progress_bar
from tina_framework.evaluation.environment import busy_warning, describe_machine, now
from tina_framework.evaluation.statistics import Summary, paired, summarize
from tina_framework.generator.options import ComposeMethod
from tina_framework.storage.files import write_json

TEMPERATURES = [round(0.5 + 0.05 * step, 2) for step in range(31)]


def measure(setup: Setup, count: int, advance: Any) -> dict[str, dict[str, Any]]:
    """Label -> networks, accuracy (percent) and losses (one a temperature) of every task."""
    found: dict[str, dict[str, Any]] = {}
    for number, task in enumerate(setup.tasks(count)):
        case = Case(setup, task)
        for label, networks, logits in candidates(case, setup.given.test or setup.given.brief):
            if setup.given.only not in label and label not in ("selection", MERGED):
                continue
            scores = logits()
            row = found.setdefault(label, {"networks": networks, "accuracy": [], "losses": []})
            row["accuracy"].append(100 * float((scores.argmax(dim=1) == case.slots).float().mean()))
            row["losses"].append(_losses(scores, case.slots))
        advance(note=f"{count} classes, task {number + 1}")
    return found


def costs(setup: Setup, count: int) -> list[dict[str, Any]]:
    """Time and size of what ships, for the first task of that class count."""
    case = Case(setup, setup.tasks(count)[0])
    height, width = setup.spec.architecture.input_shape[1:]
    pixels = np.random.default_rng(0).integers(0, 256, (1000, height, width, 3), dtype=np.uint8)
    found = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ways: dict[str, ComposeMethod] = {MERGED: "merge", ENSEMBLE: "ensemble"}
        for label, how in ways.items():
            model = case.shipped(how)
            with tempfile.TemporaryDirectory() as root:
                model.save_pretrained(Path(root) / "model")
                size = sum(file.stat().st_size for file in (Path(root) / "model").iterdir())
            found.append(
                {
                    "method": label,
                    "parameters": model.num_parameters,
                    "bytes": size,
                    "generate": _seconds(partial(case.shipped, how)),
                    "classify_1000": _seconds(partial(model.predict_proba, pixels)),
                }
            )
    finally:
        torch.set_num_threads(threads)
    return found


def _seconds(action: Callable[[], Any]) -> float:
    """Median of five, after one that warms up."""
    action()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times), 4)


def _losses(scores: Tensor, slots: Tensor) -> list[float]:
    return [float(F.cross_entropy(scores / temperature, slots)) for temperature in TEMPERATURES]


def calibration(losses: list[list[float]]) -> dict[str, Any]:
    """Best temperature on even tasks; log loss on odd ones, without and with it."""
    even, odd = torch.tensor(losses[::2]).mean(dim=0), torch.tensor(losses[1::2] or losses).mean(dim=0)
    best = int(even.argmin())
    as_it_is = TEMPERATURES.index(1.0)
    return {
        "temperature": TEMPERATURES[best],
        "loss": round(float(odd[as_it_is]), 4),
        "loss_tempered": round(float(odd[best]), 4),
    }


def summary(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a candidate."""
    return [
        {
            "method": label,
            "networks": row["networks"],
            "accuracy": _rounded(summarize(row["accuracy"])),
            "minus_selection": _rounded(paired(row["accuracy"], found["selection"]["accuracy"])),
            "minus_merged": _rounded(paired(row["accuracy"], found[MERGED]["accuracy"])),
            **calibration(row["losses"]),
        }
        for label, row in found.items()
    ]


def _rounded(of: Summary) -> dict[str, Any]:
    return {"mean": round(of.mean, 3), "ci95": of.ci95 and [round(end, 3) for end in of.ci95]}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown."""

    def text(value: dict[str, Any], form: str) -> str:
        low, high = value["ci95"] or (float("nan"),) * 2
        return f"{value['mean']:{form}} ({low:{form}} to {high:{form}})"

    lines = [
        f"| method | networks | accuracy %, 95 % interval | minus `selection`, paired | minus {MERGED}, paired | log loss (with temperature) |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['method']} | {row['networks'] or ''} | {text(row['accuracy'], '.2f')} | {text(row['minus_selection'], '+.2f')} | "
        f"{text(row['minus_merged'], '+.2f')} | {row['loss']:.3f} ({row['loss_tempered']:.3f} at {row['temperature']:g}) |"
        for row in rows
    ]


def costs_table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown."""
    lines = [
        "| what ships | parameters | bytes | seconds to generate | seconds to classify 1,000 pictures |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['method']} | {row['parameters']:,} | {row['bytes']:,} | {row['generate']:.2f} | {row['classify_1000']:.3f} |"
        for row in rows
    ]


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", default=None, help="default: the generator's own")
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--test", action="store_true", help="report on tasks of the test partition and test images")
    parser.add_argument("--brief", action="store_true", help="of validation tasks, what ships and the references alone")
    parser.add_argument("--only", default="", help="besides the two compared with, only what has this in its name")
    parser.add_argument("--tasks", type=int, default=40, help="of each class count")
    parser.add_argument("--classes", type=lambda text: tuple(int(n) for n in text.split(",")), default=(20, 50))
    parser.add_argument("--images", type=int, default=0, help="of each class, the first; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of tasks and groupings")
    parser.add_argument("--out", type=Path, default=Path("outputs/compose"))
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    given, busy = parse(words), busy_warning()
    setup = Setup(given)
    result: dict[str, Any] = {"rows": {}, "costs": {}}
    with progress_bar("Tasks", given.tasks * len(given.classes)) as advance:
        for count in given.classes:
            result["rows"][str(count)] = summary(measure(setup, count, advance))
            if given.test or given.brief:
                result["costs"][str(count)] = costs(setup, count)
    result["setup"] = {
        "command": command_line("choose.compose", words),
        "date": now(),
        "seed": given.seed,
        "tasks": given.tasks,
        "images": f"{'test' if given.test else 'validation'}, {given.images or 'all'} a class",
        "machine": describe_machine(torch.device("cpu")),
        "busy": busy,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    write_json(given.out / "compose.json", result)
    for count, rows in result["rows"].items():
        print("\n".join(["", f"{count} classes, {given.tasks} tasks", "", *table(rows)]))
        if count in result["costs"]:
            print("\n".join(["", *costs_table(result["costs"][count])]))


if __name__ == "__main__":
    run(main)
