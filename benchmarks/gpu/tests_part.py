"""Part `tests`: the tests that need a GPU, and then quick tests whose networks run on the GPU where there is one."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record, last_lines
from benchmarks.gpu.runner import python
from benchmarks.script import REPOSITORY


def run(record: Record, setup: Setup) -> None:
    record.attempt("tests/gpu", lambda: _run(record, setup.work, "gpu", ["tests/gpu"]))
    quick = list(setup.sizes.quick_tests)
    if quick:
        workers = ["-n", str(setup.sizes.test_workers)] if setup.sizes.test_workers > 1 else []
        record.attempt("quick tests", lambda: _run(record, setup.work, "quick", [*workers, *quick]), needs=15)


def _run(record: Record, work: Path, name: str, words: list[str]) -> None:
    """Run pytest, and store its counts; a failed test is an error of the part."""
    report = work / f"{name}.xml"
    command = [*python("pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", f"--junitxml={report}"), *words]
    limit = max(record.remaining - 5, 5)
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        record.error(f"{name}: pytest took longer than {limit:.0f} s", output or "no output")
        return
    if not report.is_file():
        record.error(f"{name}: pytest ended with code {done.returncode}", done.stdout + done.stderr)
        return
    counts, failures, reasons = _read(report)
    record.set(name, {**counts, "skipped because": reasons})
    for test, text in failures:
        record.error(test, text)
    if done.returncode and not failures:
        record.error(f"{name}: pytest ended with code {done.returncode}", "\n".join(last_lines(done.stdout)))


def _read(report: Path) -> tuple[dict[str, Any], list[tuple[str, str]], list[str]]:
    """Return the counts of a JUnit file, the failed tests with their text, and the reasons of skipped ones."""
    counts: dict[str, Any] = {"passed": 0, "failed": 0, "skipped": 0}
    failures, reasons = [], set()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        broken = [child for child in case if child.tag in ("failure", "error")]
        skipped = [child for child in case if child.tag == "skipped"]
        counts["failed" if broken else "skipped" if skipped else "passed"] += 1
        failures += [(f"{case.get('classname')}.{case.get('name')}", child.text or "") for child in broken]
        reasons |= {child.get("message", "") for child in skipped}
    return counts, failures, sorted(reasons)
