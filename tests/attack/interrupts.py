"""Send signals to the real program: no process stays, exit codes are right, and the next run gives the same result."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attack import processes, snapshot
from tests.attack.world import World

__all__ = ["InterruptResult", "attack_by_signals"]

_START = 4.0
"""Seconds in which the program imports its libraries. Signals come after a random part of this and of the work."""

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


def attack_by_signals(world: World, root: Path, *, runs: int, seed: int, until: float) -> list[InterruptResult]:
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
    expected: dict[str, tuple[dict[str, str], float]] = {}
    results = []
    for case in cases:
        key = case.command[0]
        if key not in expected:
            box = _empty(root / f"whole-{key}")
            began = time.monotonic()
            code, output = _finish(_launch(case.command, box))
            if code != 0:
                results.append(InterruptResult(case.name, "undisturbed", [f"it ended with {code}: {output[-300:]}"]))
                continue
            expected[key] = (snapshot.take(box), time.monotonic() - began)
        files, seconds = expected[key]
        draws = random.Random(f"{seed}/{case.name}")
        for _ in range(runs):
            if time.monotonic() > until:
                break
            delay = draws.uniform(0.3, seconds)
            problems = _interrupt(case, _empty(root / "signal"), delay, draws.uniform(0.0, 0.3), files)
            results.append(InterruptResult(case.name, f"after {delay:.2f} of {seconds:.2f} s", problems))
    return results


def _empty(box: Path) -> Path:
    shutil.rmtree(box, ignore_errors=True)
    box.mkdir(parents=True)
    return box


def _launch(words: Sequence[str], box: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    environment.pop("TINA_ATTACK_FORK", None)
    return subprocess.Popen(
        [sys.executable, "-m", "tina_framework.cli", *words],
        cwd=box,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _finish(process: subprocess.Popen[str]) -> tuple[int | None, str]:
    try:
        output, _ = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        processes.end_session(process.pid)
        return None, ""
    return process.returncode, output


def _interrupt(case: Case, box: Path, delay: float, pause: float, files: dict[str, str]) -> list[str]:
    process = _launch(case.command, box)
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
    # The output ends only when all processes that share it have ended, so it is read after those are counted.
    left = processes.wait_for_end(process.pid, _END_SECONDS)
    if left:
        problems.append(f"{len(left)} processes lived on for {_END_SECONDS:g} s")
    code, output = _finish(process)
    if code not in case.codes:
        problems.append(f"it ended with {code}: {output.strip()[-300:]}")
    # Before its first statement the interpreter itself may print one.
    if "Traceback" in output and "tina_framework" in output:
        problems.append(f"it printed a traceback: {output.strip()[-300:]}")
    code, output = _finish(_launch(case.again, box))
    if code != 0:
        return [*problems, f"the next run ended with {code}: {output.strip()[-300:]}"]
    return problems + snapshot.differences(snapshot.take(box), files)
