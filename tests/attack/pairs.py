"""Two processes write into one folder at the same time, and readers read while a writer replaces a folder."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attack import processes, snapshot
from tests.attack.kills import _sandbox
from tests.attack.world import World
from tests.attack.writers import ABSENT, Writer, read_classifier, read_generator

__all__ = ["PairResult", "attack_by_pairs", "attack_by_readers"]

_TIMEOUT = 180.0


@dataclass(frozen=True)
class PairResult:
    """What two processes did."""

    writer: str
    codes: tuple[int | None, int | None]
    problems: list[str]


def attack_by_pairs(table: Sequence[Writer], root: Path, *, runs: int, seed: int, until: float) -> list[PairResult]:
    """Start each writer twice on one folder, the second time after a short random while.

    Right is: at least one succeeds; the other one succeeds too, or ends with a sentence; and then the folder equals one that a
    single process wrote.
    """
    results = []
    alone: list[tuple[Writer, dict[str, str], float]] = []
    for writer in table:
        box = _sandbox(root / "single", writer)
        began = time.monotonic()
        single = _start(writer, box, 0, 0.0).wait()
        if single.code == 0:
            alone.append((writer, snapshot.take(box), time.monotonic() - began))
        else:
            results.append(PairResult(writer.name, (single.code, None), [f"alone, it {single.words}"]))
    draws = random.Random(seed)
    # Each writer in turn: where time is short, all are tried equally often.
    for writer, expected, seconds in runs * alone:
        delay = draws.choice((0.0, draws.random() * seconds))
        if time.monotonic() < until:
            results.append(_pair(writer, root / "pair", expected, delay))
    return results


def _start(writer: Writer, box: Path, number: int, delay: float) -> processes.Child:
    def act() -> None:
        os.environ["TINA_ATTACK_FORK"] = "1"
        os.chdir(box)
        time.sleep(delay)
        writer.write(box)

    return processes.start(act, box.parent / f"output-{number}.log", _TIMEOUT)


def _pair(writer: Writer, root: Path, expected: dict[str, str], delay: float) -> PairResult:
    box = _sandbox(root, writer)
    children = [_start(writer, box, 0, 0.0), _start(writer, box, 1, delay)]
    ended = [child.wait() for child in children]
    problems = []
    for end in ended:
        if end.code in (1, 2):
            last = (end.output.strip().splitlines() or [""])[-1]
            if (wrong := processes.sentence_problem(last)) or "Traceback" in end.output:
                problems.append(f"{wrong or 'traceback'}: {last[:200]}")
        elif end.code != 0:
            problems.append(end.words)
    if all(end.code != 0 for end in ended):
        problems.append(f"none of the two succeeded: {ended[0].words}; {ended[1].words}")
    problems += snapshot.differences(snapshot.take(box), expected)
    return PairResult(writer.name, (ended[0].code, ended[1].code), problems)


def attack_by_readers(world: World, root: Path, *, replacements: int, readers: int = 2) -> list[PairResult]:
    """Read a folder in a loop while another process replaces it. Each reading must give one of the two contents."""
    both = {
        "classifier": (world.classifier, world.other_classifier, read_classifier),
        "generator": (world.generator, world.other_generator, read_generator),
    }
    results = []
    for name, (first, second, read) in both.items():
        folder = root / name / "out"
        folder.parent.mkdir(parents=True)
        allowed = set()
        for model in (second, first):
            model.save_pretrained(folder)
            allowed.add(read(folder))

        def replace(models: tuple[object, ...] = (second, first), folder: Path = folder) -> None:
            for turn in range(replacements):
                models[turn % 2].save_pretrained(folder)  # type: ignore[attr-defined]
            (folder.parent / "done").touch()

        def look(read=read, folder: Path = folder, allowed: set[str] = allowed) -> None:  # type: ignore[no-untyped-def]
            number = 0
            while not (folder.parent / "done").exists():
                seen = read(folder)
                assert seen != ABSENT, "nothing was there"
                assert seen in allowed, f"a mixture: {seen[:200]}"
                number += 1
            print(number)

        children = [processes.start(replace, root / name / "writer.log", _TIMEOUT)]
        children += [processes.start(look, root / name / f"reader-{n}.log", _TIMEOUT) for n in range(readers)]
        ended = [child.wait() for child in children]
        problems = [f"{'writer' if not n else 'reader'} {end.words}" for n, end in enumerate(ended) if end.code != 0]
        reads = sum(int(end.output.strip().splitlines()[-1]) for end in ended[1:] if end.code == 0)
        results.append(
            PairResult(f"{name}: {replacements} replacements, {reads} readings", (ended[0].code, 0), problems)
        )
    return results
