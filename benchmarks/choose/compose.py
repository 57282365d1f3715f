"""Compare ways to build one classifier from several generated networks, for more classes than a generator writes.

    python -m benchmarks.choose.compose --dataset arrays:cifar100.npz --encoder embedding-table:TABLE.npz   # choose
    python -m benchmarks.choose.compose --test --tasks 100 --dataset ... --encoder ...                     # report

Choosing measures all ways of `compose_candidates.candidates` on validation tasks and validation images. Reporting
(`--test`) measures the two ways that the package offers, and the references, on reserved tasks and test images.
`--brief` measures the same few ways on validation tasks and validation images.

The tables have the accuracy in percent as mean over tasks. Differences from `selection` (the generic model with the
rows of the task) and from the merged network are paired, with 95 % intervals. The log loss is given without and with
a temperature. One temperature for all tasks of a class count is chosen on the even tasks; the odd tasks give both
losses.

With `--test` or `--brief` there is also the cost of the two ways, for the first task of each class count: parameters,
bytes of the folder, seconds to generate, and seconds to classify 1,000 pictures (one thread, medians of five).

Prints Markdown tables and writes OUT/compose.json.
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
    """Return label -> number of networks, and for every task the accuracy (percent) and a loss for each temperature."""
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
    """Return time and size of the two ways of the package, for the first task of a class count."""
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
    """Return the median duration of five calls, after one call that warms up."""
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
    """Return the best temperature on even tasks, and the log loss on odd tasks without and with it."""
    even, odd = torch.tensor(losses[::2]).mean(dim=0), torch.tensor(losses[1::2] or losses).mean(dim=0)
    best = int(even.argmin())
    plain = TEMPERATURES.index(1.0)
    return {
        "temperature": TEMPERATURES[best],
        "loss": round(float(odd[plain]), 4),
        "loss_tempered": round(float(odd[best]), 4),
    }


def summary(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each candidate."""
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
    """Return the lines of a Markdown table."""

    def text(value: dict[str, Any], form: str) -> str:
        low, high = value["ci95"] or (float("nan"),) * 2
        return f"{value['mean']:{form}} ({low:{form}} to {high:{form}})"

    lines = [
        "| method | networks | accuracy %, 95 % interval | minus `selection`, paired "
        f"| minus {MERGED}, paired | log loss (with temperature) |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['method']} | {row['networks'] or ''} | {text(row['accuracy'], '.2f')} | "
        f"{text(row['minus_selection'], '+.2f')} | {text(row['minus_merged'], '+.2f')} | "
        f"{row['loss']:.3f} ({row['loss_tempered']:.3f} at {row['temperature']:g}) |"
        for row in rows
    ]


def costs_table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [
        "| way | parameters | bytes | seconds to generate | seconds to classify 1,000 pictures |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['method']} | {row['parameters']:,} | {row['bytes']:,} | "
        f"{row['generate']:.2f} | {row['classify_1000']:.3f} |"
        for row in rows
    ]


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", default=None, help="default: the generator's own")
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--test", action="store_true", help="report on reserved tasks and test images")
    parser.add_argument("--brief", action="store_true", help="measure only the ways of the package and the references")
    parser.add_argument(
        "--only", default="", help="measure only ways with this in their label, besides the two to compare with"
    )
    parser.add_argument("--tasks", type=int, default=40, help="tasks of each class count")
    parser.add_argument("--classes", type=lambda text: tuple(int(n) for n in text.split(",")), default=(20, 50))
    parser.add_argument("--images", type=int, default=0, help="images of each class, the first ones; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="seed of tasks and groupings")
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
