"""What commands print with: tables, JSON, progress. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["console", "err_console", "print_error", "print_json", "print_table", "progress_bar"]

console = Console(highlight=False)
err_console = Console(stderr=True, highlight=False)

Advance = Callable[..., None]
"""advance(count=1, note=""): `count` more are done; `note` is shown beside the bar (a loss, say)."""

_SECONDS_BETWEEN_LINES = 30.0


def print_json(value: Any) -> None:
    """Writes `value` as JSON to standard output, plain, so that it can be piped. NaN and infinity are refused."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> None:
    """Prints one line a row.

    Args:
        rows: column -> value. A missing value or None shows as ``-``; numbers are aligned to the right.
        columns: which columns, in which order; also the heading.
        title: above the table.
    """
    table = Table(
        title=None if title is None else _plain(title),
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for column in columns:
        numeric = any(isinstance(row.get(column), (int, float)) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # Values are data, never markup: a class name may hold square brackets.
        table.add_row(*(_plain(row.get(column)) for column in columns))
    console.print(table)


def _plain(value: Any) -> str:
    from rich.markup import escape

    return "-" if value is None else escape(str(value))


def print_error(message: str) -> None:
    """One paragraph on standard error, not wrapped, so that paths can be copied and messages searched for."""
    err_console.print(message, markup=False, soft_wrap=True)


@contextmanager
def progress_bar(description: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """A progress bar with the time left on standard error; where that is no terminal, a line every half minute.

    Args:
        description: what is going on.
        total: how many there are in all.
        done: how many were done before (a resumed run); they do not count for the speed.
    """
    manage = _bar if err_console.is_terminal else _lines
    with manage(description, total, done) as advance:
        yield advance


@contextmanager
def _bar(description: str, total: int, done: int) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    text = TextColumn("{task.description}", markup=False)
    note_column = TextColumn("{task.fields[note]}", markup=False)
    columns = (
        text,
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        "left:",
        TimeRemainingColumn(),
        note_column,
    )
    with Progress(*columns, console=err_console) as progress:
        task = progress.add_task(description, total=total, completed=done, note="")

        def advance(count: int = 1, note: str = "") -> None:
            if note:
                progress.update(task, note=note)
            progress.advance(task, count)

        yield advance


@contextmanager
def _lines(description: str, total: int, done: int) -> Iterator[Advance]:
    begin = last = time.monotonic()
    now_done = done

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal last, now_done
        now_done += count
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES:
            return
        last = now
        left = (now - begin) / max(now_done - done, 1) * (total - now_done)
        parts = [f"{description}: {now_done}/{total}", f"{duration(left)} left", note]
        print_error(", ".join(part for part in parts if part))

    yield advance


def duration(seconds: float) -> str:
    """``75`` -> ``1 min 15 s``."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
