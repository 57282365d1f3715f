"""The progress bar in terminals of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tina_framework.terminal.progress import make_progress


@pytest.mark.parametrize("width", [70, 80, 120])
def test_numbers_and_time_left_are_never_cut(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    note = "task 0.0282  denoise 0.3905  validation 0.6216 (+0.00)"
    progress = make_progress(console)
    progress.add_task("training", total=9000, completed=240, note=note)
    with console.capture() as capture:
        console.print(progress.get_renderable())
    [line] = capture.get().splitlines()
    assert len(line) <= width
    for part in ("training", "240/9000", "left: -:--:--", "task"):
        assert part in line
    assert (note in line) == (width == 120)
