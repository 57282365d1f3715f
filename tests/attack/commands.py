"""Run the attacks within a time budget, and print the tables."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.attack import altered, interrupts, kills, kinds, pairs, warm, world, writers


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description="Attack files and processes.")
    parser.add_argument("--only", help="attacks, separated by commas: kills, mutations, pairs, signals")
    parser.add_argument("--writers", default="", help="attack only writers whose name contains this")
    parser.add_argument("--kinds", default="", help="alter only kinds whose name contains this")
    parser.add_argument("--inputs", type=int, default=11_000, help="number of altered inputs")
    parser.add_argument("--runs", type=int, default=20, help="number of pairs of processes for each writer")
    parser.add_argument("--signals", type=int, default=5, help="number of runs for each signal")
    parser.add_argument("--minutes", type=float, help="stop each attack after its share of this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed cases")
    given = parser.parse_args(arguments)
    until = float("inf") if given.minutes is None else time.monotonic() + 60 * given.minutes
    root = Path(tempfile.mkdtemp(prefix="tina-attack-"))
    warm.import_package()
    place = world.make_world(root / "world")
    world.make_inputs(place)
    parts = given.only.split(",") if given.only else ["kills", "mutations", "pairs", "signals"]
    bad = 0
    if "kills" in parts:
        bad += _kills(given, place, root, until)
    if "mutations" in parts:
        bad += _mutations(given, place, root, until)
    if "pairs" in parts:
        bad += _pairs(given, place, root, until)
    if "signals" in parts:
        bad += _signals(given, place, root, until)
    if given.keep:
        print(root)
    else:
        shutil.rmtree(root)
    return int(bad > 0)


def _kills(given: argparse.Namespace, place: world.World, root: Path, until: float) -> int:
    table = [writer for writer in writers.writers(place) if given.writers in writer.name]
    start = time.monotonic()
    results, numbers = kills.attack_by_kills(table, root / "kills", seed=given.seed, jobs=given.jobs, until=until)
    for name, number in numbers.items():
        mine = [result for result in results if result.writer == name]
        print(f"{name}: {number} points, {len(mine)} kills, {sum(bool(r.problems) for r in mine)} bad")
    for result in results:
        if result.problems:
            print(f"{result.writer} | {result.where} | {result.command} | {'; '.join(result.problems)[:600]}")
    print(f"{time.monotonic() - start:.0f} s")
    return sum(bool(result.problems) for result in results)


def _mutations(given: argparse.Namespace, place: world.World, root: Path, until: float) -> int:
    start = time.monotonic()
    table = [kind for kind in kinds.kinds(place, root / "kinds") if given.kinds in kind.name]
    (root / "altered").mkdir()
    results = altered.attack_by_alteration(
        table, root / "altered", seed=given.seed, jobs=given.jobs, total=given.inputs, until=until
    )
    for row in altered.summarize(results):
        print(row)
    wrong = [one for one in results if one.outcome not in altered.GOOD]
    for one in wrong:
        print(f"{one.kind} {one.number} | {one.change!a} | {one.outcome} | {one.detail}")
    print(f"{time.monotonic() - start:.0f} s")
    return len(wrong)


def _pairs(given: argparse.Namespace, place: world.World, root: Path, until: float) -> int:
    start = time.monotonic()
    table = [writer for writer in writers.writers(place) if given.writers in writer.name and writer.paired]
    results = pairs.attack_by_pairs(table, root / "pairs", runs=given.runs, seed=given.seed, until=until)
    results += pairs.attack_by_readers(place, root / "readers", replacements=20 * given.runs)
    for name in dict.fromkeys(result.writer for result in results):
        mine = [result for result in results if result.writer == name]
        print(
            f"{name}: {len(mine)} pairs, {sum(r.codes == (0, 0) for r in mine)} times both, {sum(bool(r.problems) for r in mine)} bad"
        )
    for result in results:
        if result.problems:
            print(f"{result.writer} | {result.codes} | {'; '.join(result.problems)[:600]}")
    print(f"{time.monotonic() - start:.0f} s")
    return sum(bool(result.problems) for result in results)


def _signals(given: argparse.Namespace, place: world.World, root: Path, until: float) -> int:
    start = time.monotonic()
    results = interrupts.attack_by_signals(
        place, root / "signals", runs=given.signals, seed=given.seed, jobs=given.jobs, until=until
    )
    for name in dict.fromkeys(result.case for result in results):
        mine = [result for result in results if result.case == name]
        print(f"{name}: {len(mine)} times, {sum(bool(r.problems) for r in mine)} bad")
    for result in results:
        if result.problems:
            print(f"{result.case} | {result.when} | {'; '.join(result.problems)[:900]}")
    print(f"{time.monotonic() - start:.0f} s")
    return sum(bool(result.problems) for result in results)
