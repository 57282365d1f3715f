"""Read altered inputs of every kind: each must be refused with a sentence, or load with the same contents.

The inputs are read in batches, each in a process of its own. A process that dies or hangs is attributed to the input that it was
reading; the rest of its batch goes on in another process.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attack import mutations, processes
from tests.attack.kinds import CommandRefusedError, Kind
from tina_framework.errors import TinaError

__all__ = ["GOOD", "Altered", "attack_by_alteration"]

REFUSED, IDENTICAL, READ = "refused", "identical", "read"
GOOD = {REFUSED, IDENTICAL, READ}
"""Right outcomes. `READ`: it loaded with other contents, which is right only where no digest protects it."""

_BATCH = 50
_MEMORY = 1.5 * 2**30
_ADDRESSES = 6 * 2**30


@dataclass(frozen=True)
class Altered:
    """What happened to one altered input."""

    kind: str
    number: int
    change: str
    outcome: str
    detail: str = ""


def attack_by_alteration(
    table: Sequence[Kind], root: Path, *, seed: int, jobs: int, total: int, until: float = float("inf")
) -> list[Altered]:
    """Alter and read inputs of all kinds, in random order.

    Args:
        table: the kinds.
        root: an empty folder.
        seed: seed of all changes.
        jobs: processes at a time.
        total: number of altered inputs.
        until: a time of `time.monotonic` after which no further batch starts.
    """
    base = {kind.name: _base(kind, root) for kind in table}
    scale = total / sum(kind.share for kind in table)
    results = [Altered(name, -1, "nothing", "cannot be read", text) for name, (fine, text) in base.items() if not fine]
    batches: list[tuple[Kind, list[int]]] = []
    for kind in table:
        numbers = list(range(-(-round(kind.share * scale * 1000) // 1000))) if base[kind.name][0] else []
        size = 5 if kind.writes else _BATCH
        batches += [(kind, numbers[first : first + size]) for first in range(0, len(numbers), size)]
    random.Random(seed).shuffle(batches)
    while batches:
        tasks = [
            _task(kind, numbers, base[kind.name][1], seed, root / f"batch-{n}")
            for n, (kind, numbers) in enumerate(batches)
        ]
        rest: list[tuple[Kind, list[int]]] = []
        for place, ended in processes.in_parallel(tasks, root / "logs", jobs, 3600.0, until, silence=30.0):
            kind, numbers = batches[place]
            found = [Altered(**json.loads(line)) for line in ended.output.splitlines() if line.startswith('{"kind"')]
            begun = [line.partition(" ")[2] for line in ended.output.splitlines() if line.startswith("BEGIN ")]
            done = [one for one in found if one.outcome != "begun"]
            results += done
            if len(done) < len(numbers):
                change = begun[len(done)] if len(begun) > len(done) else "?"
                how = "hangs" if ended.code is None else f"ends the process ({ended.code})"
                results.append(Altered(kind.name, numbers[len(done)], change, how, ended.words))
                if numbers[len(done) + 1 :]:
                    rest.append((kind, numbers[len(done) + 1 :]))
            shutil.rmtree(root / f"batch-{place}", ignore_errors=True)
        batches = rest if time.monotonic() < until else []
    return results


def _base(kind: Kind, root: Path) -> tuple[bool, str]:
    """Return whether the intact folder can be read, and its digest or the reason."""
    place = root / "base"

    def read() -> None:
        mutations.copy(kind.folder, place, linked=not kind.writes)
        (root / "digest").write_text(kind.read(place), encoding="utf-8", errors="surrogatepass")

    ended = processes.run(read, root / "base.log")
    return (
        (True, (root / "digest").read_text(encoding="utf-8", errors="surrogatepass"))
        if ended.code == 0
        else (False, ended.words)
    )


def _task(kind: Kind, numbers: Sequence[int], base: str, seed: int, root: Path) -> Callable[[], None]:
    def task() -> None:
        root.mkdir(parents=True)
        resource.setrlimit(resource.RLIMIT_AS, (_size() + _ADDRESSES, resource.RLIM_INFINITY))
        for number in numbers:
            draws = random.Random(f"{seed}/{kind.name}/{number}")
            mutations.copy(kind.folder, root / "copy", linked=not kind.writes)
            change = mutations.mutate(draws, kind.mutations, root / "copy", kind.other)
            print("BEGIN", ascii(change), flush=True)
            start = time.perf_counter()
            outcome, detail = _outcome(kind, root / "copy", base)
            seconds = time.perf_counter() - start
            if outcome in GOOD and seconds > kind.seconds:
                outcome, detail = "slow", f"{seconds:.1f} s"
            peak = _peak()
            if outcome in GOOD and peak > _MEMORY:
                outcome, detail = "takes memory", f"{peak / 2**30:.1f} GiB"
            print(json.dumps(Altered(kind.name, number, change, outcome, detail).__dict__), flush=True)

    return task


def _outcome(kind: Kind, folder: Path, base: str) -> tuple[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = kind.read(folder)
    except (CommandRefusedError, TinaError) as error:
        wrong = processes.sentence_problem(str(error), lists=kind.lists)
        return (REFUSED, "") if wrong is None else ("bad sentence", f"{wrong}: {str(error)[:300]!a}")
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {str(error)[:200]!a} at {_where(error)}"
    if found == base:
        return IDENTICAL, ""
    return ("loaded silently", _difference(base, found)) if kind.sealed else (READ, "")


def _where(error: BaseException) -> str:
    place, trace = "?", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "tina_framework" in name or "plugin" in name:
            place = f"{Path(name).parent.name}/{Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _difference(base: str, found: str) -> str:
    place = next((n for n, (a, b) in enumerate(zip(base, found, strict=False)) if a != b), min(len(base), len(found)))
    return f"{base[max(0, place - 40) : place + 40]!a} became {found[max(0, place - 40) : place + 40]!a}"


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _peak() -> float:
    """Return the growth of the process's memory at its highest since the last call."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    high, now = (1024.0 * int(status[name].split()[0]) for name in ("VmHWM", "VmRSS"))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return high - now


def summarize(results: Sequence[Altered]) -> list[dict[str, object]]:
    """Return one row for each kind."""
    rows = []
    for name in dict.fromkeys(one.kind for one in results):
        counts = Counter(one.outcome for one in results if one.kind == name)
        wrong = sum(number for outcome, number in counts.items() if outcome not in GOOD)
        rows.append(
            {
                "kind": name,
                "inputs": counts.total(),
                **{o: counts[o] for o in (REFUSED, IDENTICAL, READ)},
                "wrong": wrong,
            }
        )
    return sorted(rows, key=lambda row: str(row["kind"]))
