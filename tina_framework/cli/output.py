"""Print tables, JSON and progress. Results go to standard output, everything else to standard error."""

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
"""``advance(count=1, note="")``: `count` more items are done; `note` is shown beside the bar, e.g. a loss."""

_SECONDS_BETWEEN_LINES = 30.0


def print_json(value: Any) -> None:
    """Write `value` to standard output as plain JSON, so that it can be piped. NaN and infinity raise ValueError."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> None:
    """Print one line for each row.

    Args:
        rows: column -> value. Missing values and None are shown as ``-``. Numbers are aligned to the right.
        columns: the columns to show, in this order; they are also the headings.
        title: line above the table.
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
        # Values are escaped: a class name may contain square brackets, which rich would read as markup.
        table.add_row(*(_plain(row.get(column)) for column in columns))
    console.print(table)


def _plain(value: Any) -> str:
    from rich.markup import escape

    return "-" if value is None else escape(str(value))


def print_error(message: str) -> None:
    """Print one line on standard error. It is not wrapped, so that paths can be copied and messages searched for."""
    err_console.print(message, markup=False, soft_wrap=True)


@contextmanager
def progress_bar(description: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show a progress bar with the time left on standard error, or a line every 30 seconds if that is not a terminal.

    Args:
        description: what is being done.
        total: number of items.
        done: items that were finished before (by a run that is resumed); they do not count towards the speed.
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
