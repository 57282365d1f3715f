"""Send signals to the real program: no process stays, exit codes are right, and the next run gives the same result."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.attack import processes, snapshot
from tests.attack.world import World

__all__ = ["InterruptResult", "attack_by_signals"]

_TIMEOUT = 180.0
_END_SECONDS = 10.0


@dataclass(frozen=True)
class InterruptResult:
    """What a signal led to."""

    case: str
    when: str
    problems: list[str]


@dataclass(frozen=True)
class Case:
    """A command, the signals that it gets, and the exit codes that are right."""

    name: str
    command: list[str]
    again: list[str]
    signals: tuple[int, ...]
    codes: frozenset[int]


def attack_by_signals(
    world: World, root: Path, *, runs: int, seed: int, jobs: int, until: float
) -> list[InterruptResult]:
    """Interrupt each command at random times. 0 is also right as an exit code: it may have finished before."""
    zoo = world.zoo_command(Path("zoo"), 2)
    train = world.train_command(
        Path("run"), world.root / "zoo", max_steps="60", checkpointing_steps="5", validation_steps="20"
    )
    resume = [*train, "--resume_from_checkpoint", "latest"]
    stopped = frozenset({0, 130, 143, -signal.SIGTERM})
    cases = [
        Case("zoo build --workers 2, SIGTERM", zoo, zoo, (signal.SIGTERM,), stopped),
        Case("zoo build --workers 2, SIGKILL", zoo, zoo, (signal.SIGKILL,), frozenset({0, -signal.SIGKILL})),
        Case("zoo build --workers 2, SIGINT", zoo, zoo, (signal.SIGINT,), frozenset({0, 130, -signal.SIGINT})),
        Case(
            "zoo build --workers 2, SIGINT twice",
            zoo,
            zoo,
            (signal.SIGINT, signal.SIGINT),
            frozenset({0, 130, -signal.SIGINT}),
        ),
        Case("train, SIGTERM", train, resume, (signal.SIGTERM,), stopped),
        Case("train, SIGINT twice", train, resume, (signal.SIGINT, signal.SIGINT), frozenset({0, 130, -signal.SIGINT})),
    ]
    results: list[InterruptResult] = []
    whole: dict[str, tuple[dict[str, str], float]] = {}
    for command in (zoo, train):
        box = _empty(root / f"whole-{command[0]}")
        began = time.monotonic()
        code, output = _finish(_launch(command, box), box)
        if code != 0:
            return [InterruptResult(command[0], "undisturbed", [f"it ended with {code}: {output[-300:]}"])]
        whole[command[0]] = (snapshot.take(box), time.monotonic() - began)
    planned = [(case, *draws) for case in cases for draws in _moments(case, whole[case.command[0]][1], runs, seed)]
    random.Random(seed).shuffle(planned)
    tasks = [
        lambda n=n, case=case, delay=delay, pause=pause: print(
            json.dumps(_interrupt(case, root / f"signal-{n}", delay, pause, whole[case.command[0]][0]))
        )
        for n, (case, delay, pause) in enumerate(planned)
    ]
    for n, ended in processes.in_parallel(tasks, root / "logs", jobs, 4 * _TIMEOUT, until):
        case, delay, pause = planned[n]
        try:
            problems = json.loads(ended.output.strip().splitlines()[-1])
        except (ValueError, IndexError):
            problems = [f"the check itself {ended.words}"]
        results.append(InterruptResult(case.name, f"after {delay:.2f} s, pause {pause:.2f} s", problems))
    return results


def _moments(case: Case, seconds: float, runs: int, seed: int) -> list[tuple[float, float]]:
    """Return random times of the signals: of the first one, and the pause after it."""
    draws = random.Random(f"{seed}/{case.name}")
    return [(draws.uniform(0.3, seconds), draws.uniform(0.0, 0.3)) for _ in range(runs)]


def _empty(box: Path) -> Path:
    shutil.rmtree(box, ignore_errors=True)
    box.mkdir(parents=True)
    return box


def _launch(words: Sequence[str], box: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    environment.pop("TINA_ATTACK_FORK", None)
    with (box.parent / f"{box.name}.log").open("w") as log:
        return _popen(words, box, environment, log)


def _popen(words: Sequence[str], box: Path, environment: dict[str, str], log: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tina_framework.cli", *words],
        cwd=box,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _finish(process: subprocess.Popen[str], box: Path) -> tuple[int | None, str]:
    code: int | None = None
    try:
        code = process.wait(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        processes.end_session(process.pid)
    return code, (box.parent / f"{box.name}.log").read_text(encoding="utf-8", errors="replace")


_CHECKPOINT = re.compile(r"run/checkpoints/step-(\d+)/")


def _interrupt(case: Case, box: Path, delay: float, pause: float, files: dict[str, str]) -> list[str]:
    process = _launch(case.command, _empty(box))
    problems = []
    time.sleep(delay)
    for number in case.signals:
        if process.poll() is None:
            process.send_signal(number)
            time.sleep(pause)
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < 3 * _END_SECONDS:
        time.sleep(0.05)
    seconds = time.monotonic() - began
    if seconds > _END_SECONDS:
        problems.append(f"it needed {seconds:.0f} s to end")
    left = processes.wait_for_end(process.pid, _END_SECONDS)
    if left:
        problems.append(f"{len(left)} processes lived on for {_END_SECONDS:g} s")
    code, output = _finish(process, box)
    if code not in case.codes:
        problems.append(f"it ended with {code}: {output.strip()[-300:]}")
    # Before its first statement the interpreter itself may print one.
    if "Traceback" in output and "tina_framework" in output:
        problems.append(f"it printed a traceback: {output.strip()[-300:]}")
    code, output = _finish(_launch(case.again, box), box)
    if code != 0:
        return [*problems, f"the next run ended with {code}: {output.strip()[-300:]}"]
    return problems + snapshot.differences(_comparable(snapshot.take(box)), _comparable(files))


def _comparable(files: dict[str, str]) -> dict[str, str]:
    """Leave out all checkpoints but the last one.

    A signal saves a checkpoint at the step where it came. Near the end of a run, it is one of those that are kept.
    """
    steps = {path: int(found[1]) for path in files if (found := _CHECKPOINT.match(path))}
    last = max(steps.values(), default=0)
    return {path: digest for path, digest in files.items() if steps.get(path, last) == last}
