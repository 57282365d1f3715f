"""Printing: verbatim, escaped, cut, and in any encoding."""

from __future__ import annotations

import ast
import io
import json
import math
import sys
from pathlib import Path

import pytest

from tina_framework.terminal import console


def test_text_is_neither_markup_nor_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_line("[red]:bus: 2024:bus:01.png")
    console.print_error("[red]:apple:")
    assert capsys.readouterr() == ("[red]:bus: 2024:bus:01.png\n", "[red]:apple:\n")


def test_what_a_terminal_would_obey_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_line("a\x1b[2Jb\u202ec\u200bd\r")
    console.print_error("a\x1b[2Jb\x9b1m\ufeff")
    assert capsys.readouterr() == ("a\\x1b[2Jb\\u202ec\\u200bd\\r\n", "a\\x1b[2Jb\\x9b1m\\ufeff\n")


def test_an_error_is_not_wrapped_but_cut(capsys: pytest.CaptureFixture[str]) -> None:
    message = f"Error: '{'long/' * 60}[x]' is missing."
    console.print_error(message)
    assert capsys.readouterr().err == message + "\n"
    console.print_error("x" * 340_000)
    err = capsys.readouterr().err
    assert err == "x" * console.MAX_MESSAGE + " ... (cut; the message has 340,000 characters)\n"
    console.print_error("x" * 340_000, longest=None)
    assert capsys.readouterr().err == "x" * 340_000 + "\n"


def test_json_is_ascii_and_refuses_nan(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "[bold]ünï 苹果 \udcff", "long": ["x" * 200]}
    console.print_json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == value
    with pytest.raises(ValueError, match="JSON"):
        console.print_json(math.nan)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_no_character_ends_the_program(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    console.prepare_streams()
    console.print_line("苹果 ± \udcff")
    console.flush_output()
    written = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert (
        written
        == {"cp1252": "\\u82f9\\u679c ± ", "ascii": "\\u82f9\\u679c \\xb1 ", "utf-8": "苹果 ± "}[encoding] + "\\udcff\n"
    )


def test_a_closed_stream_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    console.prepare_streams()
    console.print_line("lost")
    sys.stdout.close()


class _Broken(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "No space left on device"), console.OutputError, r"cannot be written \(No space left on device\)"),
        (BrokenPipeError(32, "Broken pipe"), console.OutputClosedError, "has gone away"),
    ],
)
def test_output_that_cannot_be_written(
    error: OSError, kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", _Broken(error))
    for write in (console.print_line, console.print_json, console.print_rendered):
        with pytest.raises(kind, match=message):
            write("x")
    # Messages must not stop the work that they are about.
    monkeypatch.setattr(sys, "stderr", _Broken(error))
    monkeypatch.setattr(console, "err_console", console.make_console(stderr=True))
    console.print_error("x")


def test_nothing_is_folded_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console.print_rendered("name " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_every_console_is_made_in_one_place() -> None:
    import tina_framework

    root = Path(tina_framework.__file__).parent
    ways = {"Console", "print", "rich.print", "typer.echo", "typer.secho", "sys.stdout.write"}

    def prints(path: Path) -> bool:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        return any(isinstance(node, ast.Call) and ast.unparse(node.func) in ways for node in nodes)

    found = [path.relative_to(root).as_posix() for path in root.rglob("*.py") if prints(path)]
    # An encoder announces its download on standard error: the built-ins may not import this room.
    assert sorted(found) == ["builtins/encoders/clip_vit.py", "terminal/console.py"]
