from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tina_framework.cli import output
from tina_framework.terminal import console


def test_json_is_plain_and_refuses_nan(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "[bold]ünï", "long": ["x" * 200]}
    output.print_json(value)
    assert json.loads(capsys.readouterr().out) == value
    with pytest.raises(ValueError, match="JSON"):
        output.print_json(math.nan)


def test_a_table_shows_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table([{"class": "[red]apple[/red]", "n": 5}, {"class": None}], ["class", "n"], "Title [x]")
    out = capsys.readouterr().out
    assert "[red]apple[/red]" in out
    assert "Title [x]" in out
    assert out.splitlines()[-1].split() == ["-", "-"]


@pytest.mark.parametrize("columns", [10, 40, 60, 80, 200])
def test_a_narrow_terminal_breaks_no_word_and_no_path(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    path = Path("a folder with spaces") / "sub" / "picture.jpg"
    rows = [{"picture": path, "answer": "oscilloscope", "then": "solar panel 10.5 %, tape measure 3.0 %", "n": 7}]
    output.print_table(rows, ["picture", "answer", "then", "n"], f"Zoo {path}")
    title, headings, *lines = capsys.readouterr().out.splitlines()
    assert title == f"Zoo {path}"
    assert headings.split() == ["picture", "answer", "then", "n"]
    assert lines[0].startswith(f"{path}  oscilloscope  solar")
    assert {"solar", "panel", "measure"} <= set(" ".join(lines).split())


def test_an_error_is_neither_wrapped_nor_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    message = f"Error: '{'long/' * 60}[x]' is missing."
    output.print_error(message)
    assert capsys.readouterr().err == message + "\n"


def test_progress_without_a_terminal_prints_lines_with_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    with output.progress_bar("Zoo", 100, done=50) as advance:
        now[0] = 10.0
        advance(10)
        assert capsys.readouterr().err == ""
        now[0] = 40.0
        advance(10, "loss 0.5")
    # 20 in 40 seconds, 30 to go; what was done before does not count for the speed.
    assert capsys.readouterr().err == "Zoo: 70/100, 1 min 00 s left, loss 0.5\n"


def test_progress_on_a_terminal_shows_count_and_note(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "err_console", console.make_console(stderr=True, force_terminal=True, width=120))
    with output.progress_bar("Zoo", 4, done=1) as advance:
        advance(2, "loss [0.5]")
    err = capsys.readouterr().err
    assert "3/4" in err
    assert "loss [0.5]" in err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7322, "2 h 02 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text
