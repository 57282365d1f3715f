"""Run parts one after the other, each in a process of its own under a time limit, and sum up what they wrote.

This module needs the standard library alone, so it also reports a machine on which nothing else can be imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.record import last_lines, write_json

__all__ = ["DEADLINE", "RECORD", "Part", "python", "run_parts"]

RECORD = "GPU_RECORD"
"""Environment variable of a part: its JSON file."""

DEADLINE = "GPU_DEADLINE"
"""Environment variable of a part: when it will be stopped, in seconds of `time.time`."""

_LEAST_SECONDS = 3.0


@dataclass(frozen=True)
class Part:
    """A part.

    Attributes:
        name: also the name of its JSON file.
        command: the words of its command line.
        limit: after so many seconds it is stopped; None: it may take all the time that is left.
    """

    name: str
    command: Sequence[str]
    limit: float | None


def run_parts(
    parts: Sequence[Part], out: Path, seconds: float, folder: Path, variables: Mapping[str, str] | None = None
) -> bool:
    """Run all parts. A part that fails, hangs or crashes does not keep the others from running.

    Args:
        parts: in order.
        out: the folder of the results. It gets a file for each part, and `summary.md`, which is written again after each.
        seconds: time for all parts together. Parts that begin too late are recorded as skipped.
        folder: where the output of the parts is kept while they run.
        variables: of their environment, besides those of this process.

    Returns:
        Whether all parts ended without an error.
    """
    out.mkdir(parents=True, exist_ok=True)
    start = time.time()
    records: list[dict[str, Any]] = []
    for part in parts:
        left = start + seconds - time.time()
        limit = left if part.limit is None else min(part.limit, left)
        print(f"[{time.time() - start:6.1f} s] {part.name}: at most {max(limit, 0):.0f} s", flush=True)
        _summarize(out, [*records, {"part": part.name, "status": "running"}])
        record = _run(part, out / f"{part.name}.json", limit, folder, dict(variables or {}))
        records.append(record)
        _summarize(out, records)
        print(f"[{time.time() - start:6.1f} s] {part.name}: {record['status']}", flush=True)
    return all(record["status"] == "done" for record in records)


def _run(part: Part, path: Path, limit: float, folder: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Run one part, and return its record."""
    path.unlink(missing_ok=True)
    began, status, log = time.time(), "", folder / f"{part.name}.log"
    if limit < _LEAST_SECONDS:
        record = _read(path, part)
        record["status"] = "skipped"
        record["errors"].append({"what": part.name, "lines": ["No time was left for this part."]})
        write_json(path, record)
        return record
    environment = {**os.environ, **variables, RECORD: str(path), DEADLINE: str(began + limit)}
    with log.open("w", encoding="utf-8") as output:
        try:
            # In a session of its own, so that its child processes can be stopped with it.
            process = subprocess.Popen(
                part.command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            output.write(f"{error}\n")
            status = "failed"
        else:
            try:
                _echo_while(process, log, began + limit)
                status = "" if process.poll() is not None else "stopped"
            finally:
                _kill(process)
    record = _read(path, part)
    text = log.read_text(encoding="utf-8", errors="replace")
    if status == "stopped":
        record["errors"].append({"what": f"stopped after {limit:.0f} s", "lines": last_lines(text, 24)})
    elif record["status"] == "running":
        # It ended without saying so: a crash, or a failure before it could write.
        status = "failed"
        record["errors"].append({"what": "ended early", "lines": last_lines(text)})
    record["status"] = status or record["status"]
    record["seconds"] = round(time.time() - began, 2)
    write_json(path, record)
    return record


def _echo_while(process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    """Print what a process writes, until it ends or its time is over."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        while True:
            ended = process.poll() is not None or time.time() > deadline
            text = lines.read()
            if text:
                print(text, end="", flush=True)
            if ended:
                return
            time.sleep(0.1)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(path: Path, part: Part) -> dict[str, Any]:
    """Return the record that a part left, or an empty one."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record
    except (OSError, ValueError):
        empty = {"part": part.name, "status": "running", "seconds": 0.0, "environment": {}, "figures": {}}
        return {**empty, "skipped": [], "errors": []}


def _summarize(out: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write `summary.md` from the records so far."""
    environment: Mapping[str, Any] = next(
        (record["environment"] for record in records if record.get("environment")), {}
    )
    lines = ["# Run on " + str(environment.get("device", "an unknown device")), ""]
    lines += [f"- {name}: {value}" for name, value in environment.items()]
    lines += ["", "| part | status | seconds | errors | skipped |", "|---|---|---|---|---|"]
    for record in records:
        counts = " | ".join(str(len(record.get(name, ()))) for name in ("errors", "skipped"))
        lines.append(f"| {record['part']} | {record['status']} | {record.get('seconds', 0)} | {counts} |")
    for record in records:
        lines += ["", f"## {record['part']}", ""]
        lines += [f"- {name}: `{json.dumps(value)}`" for name, value in record.get("figures", {}).items()]
        lines += [f"- skipped: {sentence}" for sentence in record.get("skipped", ())]
        for error in record.get("errors", ()):
            lines += ["", f"Error in {error['what']}:", "", "```text", *error["lines"], "```"]
    partial = out / "summary.partial"
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(out / "summary.md")


def python(module: str, *words: str) -> list[str]:
    """Return the command that runs a module with this Python."""
    return [sys.executable, "-m", module, *words]
