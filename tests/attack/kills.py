"""Kill a writer at every file operation, before, half way through and after, and see what is left.

After each kill: a reader sees the old contents or the new ones; the same command succeeds; it repeats no finished piece of
work; and afterwards all files equal those of a run that nothing disturbed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attack import operations, processes, snapshot
from tests.attack.operations import Operation, Point
from tests.attack.writers import ABSENT, UNFINISHED, Writer
from tina_framework.errors import TinaError

__all__ = ["KillResult", "attack_by_kills", "enumerate_points"]

_TIMEOUT = 120.0
NOT_REACHED = "not reached"
_ORPHANS_SECONDS = 15.0


@dataclass(frozen=True)
class Undisturbed:
    """What a writer does when nothing disturbs it."""

    writer: Writer
    operations: list[Operation]
    unseen: list[str]
    files: dict[str, str]
    old: str
    new: str
    worker_operations: list[Operation]


@dataclass(frozen=True)
class KillResult:
    """The outcome of one kill; no problems means that everything promised was kept."""

    writer: str
    group: str
    where: str
    problems: list[str]
    folder: str


def _sandbox(root: Path, writer: Writer) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    (root / "box").mkdir(parents=True)
    writer.prepare(root / "box")
    return root / "box"


def _run(writer: Writer, box: Path, target: Point | None, *, again: bool, in_workers: bool = False) -> processes.Child:
    log = box.parent / "operations.log"
    log.unlink(missing_ok=True)

    def act() -> None:
        os.environ["TINA_ATTACK_FORK"] = "1"
        os.chdir(box)  # so that no recorded path differs between sandboxes
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        operations.install(box, handle, target, in_forked=in_workers)
        (writer.again or writer.write if again else writer.write)(box)

    return processes.start(act, box.parent / "output.log", _TIMEOUT)


def watch(writer: Writer, root: Path) -> Undisturbed:
    """Run a writer twice without a kill: the second run shows that equal runs give equal files.

    Raises:
        AssertionError: it fails, or two runs differ.
    """
    seen: list[dict[str, str]] = []
    worker_operations: list[Operation] = []
    finished: list[Operation] = []
    unseen: list[str] = []
    old = new = ABSENT
    for turn in range(2):
        box = _sandbox(root / f"undisturbed-{turn}", writer)
        old = writer.read(box)
        ended = _run(writer, box, None, again=False, in_workers=writer.workers and turn == 1).wait()
        assert ended.code == 0, f"{writer.name}: {ended.words}\n{ended.output}"
        done, odd = operations.read_log(box.parent / "operations.log")
        finished, worker_operations = (finished, done) if turn else (done, [])
        unseen += odd
        new = writer.read(box)
        seen.append(snapshot.take(box))
    assert not snapshot.differences(*seen), f"{writer.name}: two equal runs differ: {snapshot.differences(*seen)}"
    return Undisturbed(writer, finished, unseen, seen[0], old, new, worker_operations if writer.workers else [])


def enumerate_points(found: Undisturbed) -> list[tuple[Point, Operation, bool]]:
    """Return all points at which a writer can be killed: the point, its operation, and whether workers are killed."""
    # The log of workers mixes several processes, each of which counts from 1.
    theirs = {operation.number: operation for operation in found.worker_operations}
    points = []
    for in_workers, several in ((False, found.operations), (True, [theirs[number] for number in sorted(theirs)])):
        points += [(Point(one.number, phase), one, in_workers) for one in several for phase in one.phases]
        points += [(Point(one.number, operations.AFTER), one, in_workers) for one in several[-1:]]
    return points


def kill_once(found: Undisturbed, point: Point, in_workers: bool, root: Path) -> list[str]:
    """Kill a writer at a point, and return what is wrong afterwards."""
    writer = found.writer
    box = _sandbox(root, writer)
    child = _run(writer, box, point, again=False, in_workers=in_workers)
    ended = child.wait()
    left = processes.wait_for_end(child.number, _ORPHANS_SECONDS)
    problems = [f"{len(left)} worker processes lived on for {_ORPHANS_SECONDS:g} s"] if left else []
    if in_workers:
        # Another worker may have done the work. Otherwise the command ends with a sentence.
        if ended.code not in (0, 1):
            problems.append(f"with a killed worker, the command {ended.words}")
        if ended.code == 1 and (wrong := processes.sentence_problem(ended.output.strip().splitlines()[-1])):
            problems.append(
                f"the message about a killed worker: {wrong}: {ended.output.strip().splitlines()[-1][:200]}"
            )
    elif ended.code == 0 and writer.workers:
        return [
            NOT_REACHED
        ]  # the order of the workers' models, and so the number of an operation, differs from run to run
    elif ended.code != -signal.SIGKILL:
        return [*problems, f"the point was not reached; the command {ended.words}"]
    finished = _finished(writer, box)
    problems += _reader_problems(found, box)
    again = _run(writer, box, None, again=True)
    second = again.wait()
    processes.wait_for_end(again.number, _ORPHANS_SECONDS)
    if second.code != 0:
        return [*problems, f"the next run {second.words}"]
    repeated = finished & _finished(writer, box)
    problems += [f"made a second time: {path}" for path in sorted(repeated)]
    problems += snapshot.differences(snapshot.take(box), found.files)
    try:
        if writer.read(box) != found.new:
            problems.append("the next run has another result")
    except (TinaError, OSError) as error:
        problems.append(f"after the next run, a reader fails: {error}")
    return problems


def _finished(writer: Writer, box: Path) -> set[str]:
    done, _ = operations.read_log(box.parent / "operations.log")
    kinds = {"rename", "replace", "exchange"}
    return {
        operation.path for operation in done if operation.kind in kinds and writer.finished.fullmatch(operation.path)
    }


def _reader_problems(found: Undisturbed, box: Path) -> list[str]:
    allowed = {found.old, found.new, *([UNFINISHED, ABSENT] if found.writer.reader_may_wait else [])}
    try:
        seen = found.writer.read(box)
    except (TinaError, OSError) as error:
        return [f"a reader fails after the kill: {str(error)[:300]}"]
    return [] if seen in allowed else [f"a reader sees neither the old nor the new contents: {seen[:100]}"]


def attack_by_kills(
    table: Sequence[Writer], root: Path, *, seed: int, jobs: int, until: float = float("inf")
) -> tuple[list[KillResult], dict[str, int]]:
    """Kill each writer at each point, in random order.

    Args:
        table: the writers.
        root: an empty folder.
        seed: seed of the order, so that a run that has to stop early is a fair sample.
        jobs: processes at a time.
        until: a time of `time.monotonic` after which no further kill starts.

    Returns:
        The outcomes, and for each writer the number of all its points.
    """
    results: list[KillResult] = []
    cases: list[tuple[Undisturbed, Point, Operation, bool]] = []
    numbers: dict[str, int] = {}
    for writer in table:
        try:
            found = watch(writer, root / "watch")
        except AssertionError as error:
            results.append(KillResult(writer.name, writer.group, "undisturbed", [str(error)[-600:]], ""))
            continue
        if found.unseen:
            results.append(KillResult(writer.name, writer.group, "audit", [f"not seen: {found.unseen[:3]}"], ""))
        points = enumerate_points(found)
        numbers[writer.name] = len(points)
        cases += [(found, *point) for point in points]
    random.Random(seed).shuffle(cases)
    # A kill after the last operation, when nothing is left to do, is in the table like any other.
    tasks = [
        lambda number=number, case=case: print(
            json.dumps(kill_once(case[0], case[1], case[3], root / f"kill-{number}"))
        )
        for number, case in enumerate(cases)
    ]
    for number, ended in processes.in_parallel(tasks, root / "logs", jobs, 4 * _TIMEOUT, until):
        found, point, operation, in_workers = cases[number]
        where = f"{'worker: ' if in_workers else ''}{point.phase} {operation.kind} {operation.path} ({point.number})"
        try:
            problems = json.loads(ended.output.strip().splitlines()[-1])
        except (ValueError, IndexError):
            problems = [f"the check itself {ended.words}"]
        if problems == [NOT_REACHED]:
            continue
        if not problems:
            shutil.rmtree(root / f"kill-{number}", ignore_errors=True)
        results.append(KillResult(found.writer.name, found.writer.group, where, problems, f"kill-{number}"))
    return results, numbers
