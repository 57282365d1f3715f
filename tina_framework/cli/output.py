"""Print tables and progress. Lines, JSON and errors come from `tina_framework.terminal.console`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from rich.cells import cell_len
from rich.table import Table

from tina_framework.errors import printable
from tina_framework.terminal import console
from tina_framework.terminal.console import print_error, print_json, print_line, print_rendered

__all__ = ["duration", "print_error", "print_json", "print_line", "print_table", "progress_bar"]

Advance = Callable[..., None]
"""``advance(count=1, note="")``: `count` more items are done; `note` is shown beside the bar, e.g. a loss."""

_SECONDS_BETWEEN_LINES = 30.0


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> None:
    """Print one line for each row.

    Args:
        rows: column -> value. Missing values and None are shown as ``-``. Numbers are aligned to the right. A list is shown with
            one line for each entry. A path is never broken, not even where it has spaces.
        columns: the columns to show, in this order; they are also the headings.
        title: line above the table.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    if title is not None:
        print_line(_cell(title))  # as a title of the table it would be folded to the table's width
    cells = {column: [_cell(row.get(column)) for row in rows] for column in columns}
    folded = _folded_column(rows, cells)
    for column in columns:
        numeric = any(isinstance(row.get(column), (int, float)) for row in rows)
        table.add_column(
            _cell(column),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=column != folded,
            min_width=None if column == folded else _width([column, *cells[column]]),
        )
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    print_rendered(table)


def _folded_column(rows: Sequence[Mapping[str, Any]], cells: Mapping[str, Sequence[str]]) -> str | None:
    """Return the column that is folded between words where a table is too wide: the widest one that is no path.

    Only one is, because rich divides what is missing between all that may be folded, and breaks their words.
    """
    widths = {
        column: _width(texts)
        for column, texts in cells.items()
        if any(" " in text for text in texts) and not any(isinstance(row.get(column), PurePath) for row in rows)
    }
    return max(widths, key=lambda column: widths[column], default=None)


def _width(texts: Sequence[str]) -> int:
    """Return the number of terminal cells of the longest line."""
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(_cell, value)) or "-"
    # A name with a line break must not look like two rows.
    return "-" if value is None else printable(str(value)).replace("\n", "\\n").replace("\t", "\\t")


@contextmanager
def progress_bar(description: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show a progress bar with the time left on standard error, or a line every 30 seconds if that is not a terminal.

    Args:
        description: what is being done.
        total: number of items.
        done: items that were finished before (by a run that is resumed); they do not count towards the speed.
    """
    manage = _bar if console.err_console.is_terminal else _lines
    with manage(description, total, done) as advance:
        yield advance


@contextmanager
def _bar(description: str, total: int, done: int) -> Iterator[Advance]:
    from tina_framework.terminal.progress import make_progress

    with make_progress(console.err_console) as progress:
        task = progress.add_task(printable(description), total=total, completed=done, note="")

        def advance(count: int = 1, note: str = "") -> None:
            if note:
                progress.update(task, note=printable(note))
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
