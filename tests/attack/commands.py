"""Run the attacks within a time budget, and print the tables."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.attack import kills, warm, world, writers


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description="Attack files and processes.")
    parser.add_argument("--only", help="attacks, separated by commas: kills, mutations, pairs, signals")
    parser.add_argument("--writers", default="", help="attack only writers whose name contains this")
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
    table = [writer for writer in writers.writers(place) if given.writers in writer.name]
    start = time.monotonic()
    results, numbers = kills.attack_by_kills(table, root / "kills", seed=given.seed, jobs=given.jobs, until=until)
    for name, number in numbers.items():
        mine = [result for result in results if result.writer == name]
        print(f"{name}: {number} points, {len(mine)} kills, {sum(bool(r.problems) for r in mine)} bad")
    for result in results:
        if result.problems:
            print(f"{result.writer} | {result.where} | {result.command} | {'; '.join(result.problems)[:600]}")
    print(f"{time.monotonic() - start:.0f} s", root if given.keep else "")
    if not given.keep:
        shutil.rmtree(root)
    return int(any(result.problems for result in results))
