"""Run the attacks within a time budget, and print their tables as Markdown."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attack import altered, interrupts, kills, kinds, pairs, warm, world, writers

__all__ = ["main"]

SHARES = {"kills": 0.45, "mutations": 0.3, "pairs": 0.1, "signals": 0.15}
"""Attack -> its share of the time budget."""


@dataclass
class Report:
    """The rows of one attack, and a line for everything that went wrong."""

    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def print(self, seconds: float) -> None:
        """Print the table with a row of sums, and then the faults."""
        print(f"\n### {self.title}\n")
        if self.rows:
            names = list(self.rows[0])
            sums = {name: sum(row[name] for row in self.rows) for name in names[1:]}
            self.rows.append({names[0]: "**all**", **sums})
            print("| " + " | ".join(names) + " |")
            print("|---|" + "---:|" * (len(names) - 1))
            for row in self.rows:
                print("| " + " | ".join(str(row[name]) for name in names) + " |")
        for fault in self.faults:
            print(f"- FAULT: {fault}")
        print(f"\n{seconds:.0f} s", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the attacks and return the exit code: 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description="Attack files and processes.")
    parser.add_argument("--only", default=",".join(SHARES), help=f"attacks, of {', '.join(SHARES)}")
    parser.add_argument("--writers", default="", help="attack only writers whose name contains this")
    parser.add_argument("--kinds", default="", help="alter only kinds whose name contains this")
    parser.add_argument("--inputs", type=int, default=11_000, help="number of altered inputs")
    parser.add_argument("--runs", type=int, default=20, help="number of pairs of processes for each writer")
    parser.add_argument("--signals", type=int, default=5, help="number of runs for each signal")
    parser.add_argument("--minutes", type=float, help="take a random sample that needs this long")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order, the changes and the times")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of processes at a time")
    parser.add_argument("--keep", action="store_true", help="keep the folders of faults, and print where they are")
    given = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="tina-attack-"))
    chosen = {name: attack for name, attack in _ATTACKS.items() if name in given.only.split(",")}
    try:
        warm.import_package()
        place = world.make_world(root / "world")
        world.make_inputs(place)
        print(_setting(given))
        faults = 0
        for name, attack in chosen.items():
            start = time.monotonic()
            share = SHARES[name] / sum(SHARES[other] for other in chosen)
            until = float("inf") if given.minutes is None else start + 60 * given.minutes * share
            report = attack(given, place, root / name, until)
            report.print(time.monotonic() - start)
            faults += len(report.faults)
    finally:
        if given.keep:
            print(root)
        else:
            shutil.rmtree(root, ignore_errors=True)
    print(f"\n{faults} faults." if faults else "\nNo faults.")
    return int(faults > 0)


def _setting(given: argparse.Namespace) -> str:
    import torch

    from tina_framework.training.export import git_commit

    words = ["python -m tests.attack", *(f"--minutes {given.minutes:g}" for _ in [0] if given.minutes is not None)]
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"`{' '.join(words)}`, seed {given.seed}, {os.cpu_count()} cores, torch {torch.__version__}, {today}, "
        f"commit {str(git_commit())[:12]}."
    )


def _kills(given: argparse.Namespace, place: world.World, root: Path, until: float) -> Report:
    report = Report("Kills")
    table = [writer for writer in writers.writers(place) if given.writers in writer.name]
    results, numbers = kills.attack_by_kills(table, root, seed=given.seed, jobs=given.jobs, until=until)
    for name, number in numbers.items():
        mine = [result for result in results if result.writer == name]
        report.rows.append({"writer": name, "points": number, "kills": len(mine), "faults": _bad(mine)})
    report.faults = [f"{r.writer}, {r.where}, {r.folder}: {'; '.join(r.problems)[:800]}" for r in results if r.problems]
    return report


def _mutations(given: argparse.Namespace, place: world.World, root: Path, until: float) -> Report:
    report = Report("Altered inputs")
    table = [kind for kind in kinds.kinds(place, root / "kinds") if given.kinds in kind.name]
    results = altered.attack_by_alteration(
        table, root, seed=given.seed, jobs=given.jobs, total=given.inputs, until=until
    )
    report.rows = altered.summarize(results)
    wrong = [one for one in results if one.outcome not in altered.GOOD]
    report.faults = [f"{one.kind} {one.number}: {one.change!a}: {one.outcome}: {one.detail}" for one in wrong]
    return report


def _pairs(given: argparse.Namespace, place: world.World, root: Path, until: float) -> Report:
    report = Report("Two processes on one folder")
    table = [writer for writer in writers.writers(place) if given.writers in writer.name and writer.paired]
    results = pairs.attack_by_pairs(table, root, runs=given.runs, seed=given.seed, until=until)
    results += pairs.attack_by_readers(place, root / "readers", replacements=20 * given.runs)
    for name in dict.fromkeys(result.writer for result in results):
        mine = [result for result in results if result.writer == name]
        both = sum(result.codes == (0, 0) for result in mine)
        row = {"writer": name, "pairs": len(mine), "both succeeded": both, "one was refused": len(mine) - both}
        report.rows.append({**row, "faults": _bad(mine)})
    report.faults = [f"{r.writer}, {r.codes}: {'; '.join(r.problems)[:800]}" for r in results if r.problems]
    return report


def _signals(given: argparse.Namespace, place: world.World, root: Path, until: float) -> Report:
    report = Report("Signals")
    results = interrupts.attack_by_signals(
        place, root, runs=given.signals, seed=given.seed, jobs=given.jobs, until=until
    )
    for name in dict.fromkeys(result.case for result in results):
        mine = [result for result in results if result.case == name]
        report.rows.append({"command and signal": name, "runs": len(mine), "faults": _bad(mine)})
    report.faults = [f"{r.case}, {r.when}: {'; '.join(r.problems)[:800]}" for r in results if r.problems]
    return report


def _bad(results: Iterable[Any]) -> int:
    return sum(bool(result.problems) for result in results)


_ATTACKS: dict[str, Callable[[argparse.Namespace, world.World, Path, float], Report]] = {
    "kills": _kills,
    "mutations": _mutations,
    "pairs": _pairs,
    "signals": _signals,
}
