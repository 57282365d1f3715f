"""The progress bar of all commands: what is done, how many of how many, time so far, time left, and a note."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

__all__ = ["make_progress"]

_BAR_WIDTH = 20


class _NoteColumn(ProgressColumn):
    """The field ``note`` of a task, cut to what is left of the line."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("note", "")), no_wrap=True, overflow="ellipsis")


def make_progress(console: Console, *, elapsed_when_finished: bool = False) -> Progress:
    """Return a progress display whose tasks have the field ``note``.

    In a narrow terminal the bar and the note are cut, but never the numbers and the time left.

    Args:
        console: where to print.
        elapsed_when_finished: show the whole time at the end, in place of the time left.
    """
    # rich shortens the columns that may be wrapped first, so only the bar and the note may be.
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR_WIDTH),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("left:"),
        TimeRemainingColumn(elapsed_when_finished=elapsed_when_finished, table_column=Column(no_wrap=True)),
        _NoteColumn(),
        console=console,
    )
