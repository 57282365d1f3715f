"""How programs end: exit codes, signals, closed pipes and full disks."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from tina_framework.errors import DataError, Stopped, Terminated, UsageError
from tina_framework.terminal.console import print_json, print_line
from tina_framework.terminal.program import _termination_raises, run_program


def test_the_code_of_the_body_is_returned_and_debug_is_taken_out() -> None:
    seen: list[list[str]] = []

    def body(arguments: list[str]) -> int:
        seen.append(arguments)
        return 3

    assert run_program(body, ["a", "--debug", "--", "--debug"]) == 3
    assert seen == [["a", "--", "--debug"]]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("It is\x1b[2J broken; mend it."), 1, "Error: It is\\x1b[2J broken; mend it.\n"),
        (SystemExit(4), 4, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("no more"), 1, "no more\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_errors_are_one_line(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    def body(arguments: list[str]) -> int:
        print_line("before")
        raise error

    assert run_program(body, []) == code
    assert capsys.readouterr() == ("before\n", line)


@pytest.mark.parametrize(
    ("error", "kind", "message", "code"),
    [
        (DataError("It is broken; mend it."), "DataError", "It is broken; mend it.", 1),
        (UsageError("No such option: --x.\nTry `tina --help` for help."), "UsageError", None, 2),
        (FileNotFoundError(2, "No such file", "a"), "FileNotFoundError", "No such file ('a').", 1),
        (ValueError("odd"), "ValueError", "Unexpected ValueError: odd. Run again with --debug to see where.", 1),
        (KeyboardInterrupt(), "KeyboardInterrupt", "Interrupted.", 130),
        (Stopped(15, "Go on."), "Stopped", "Stopped by SIGTERM. Go on.", 143),
        (SystemExit("no more"), "Exit", "no more", 1),
        (SystemExit(4), "Exit", "It ended with code 4.", 4),
    ],
)
def test_with_json_an_error_is_json_too(
    error: BaseException, kind: str, message: str | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(arguments: list[str]) -> int:
        raise error

    assert run_program(body, ["x", "--json"]) == code
    out, err = capsys.readouterr()
    found = json.loads(out)["error"]
    assert found == {"type": kind, "message": found["message"], "exit_code": code}
    assert found["message"] == (message or "No such option: --x. Try `tina --help` for help.")
    if not isinstance(error, SystemExit):
        assert found["message"].split(". ")[0] in err, "the sentence is on standard error as well"
    assert run_program(body, ["x", "--", "--json"]) == code
    assert capsys.readouterr().out == "", "after -- it is no option"


def test_standard_output_holds_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    def prints_and_fails(arguments: list[str]) -> int:
        print_json({"pictures": []})
        raise DataError("One picture is broken.")

    def only_fails(arguments: list[str]) -> int:
        return 3

    assert run_program(prints_and_fails, ["--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"pictures": []}
    assert run_program(only_fails, ["--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 3
    assert run_program(lambda words: 0, ["--json"]) == 0
    assert capsys.readouterr().out == ""


def test_the_traceback_is_escaped_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    def body(arguments: list[str]) -> int:
        raise ValueError("\x1b[2J" + "x" * 5000)

    assert run_program(body, ["--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "\x1b" not in err
    assert "x" * 5000 in err


def test_warnings_and_logs_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    def body(arguments: list[str]) -> int:
        warnings.warn("odd \x1b[1mname", UserWarning, stacklevel=1)
        logging.getLogger("tina_framework.plugins").warning("%s is slow", "it")
        return 0

    assert run_program(body, []) == 0
    assert capsys.readouterr().err == "Warning: odd \\x1b[1mname\nWarning: it is slow\n"


def test_sigterm_ends_in_order(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def body(arguments: list[str]) -> int:
        (tmp_path / "half").touch()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError
        finally:
            (tmp_path / "half").unlink()

    assert run_program(body, []) == 143
    assert capsys.readouterr().err == "Terminated.\n"
    assert not (tmp_path / "half").exists()
    assert signal.getsignal(signal.SIGTERM) == before


_PROGRAM = """
import sys
from tina_framework.terminal.console import print_json, print_line
from tina_framework.terminal.program import _termination_raises, run_program

def body(arguments):
    if arguments == ["plain"]:
        for _ in range(100_000):
            print("a line of a plugin")
    for _ in range(100_000 if arguments == ["long"] else 1):
        print_line("a line")
    return 0

sys.exit(run_program(body, sys.argv[1:]))
"""


@pytest.mark.parametrize("length", ["short", "long", "plain"])
def test_a_closed_pipe_ends_without_a_word(length: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, length], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("length", ["short", "long"])
def test_a_full_disk_is_one_sentence(length: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, length], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        "Error: Standard output cannot be written (No space left on device).\n",
    )


def test_a_closed_output_is_no_error() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -c "$0" >&-', _PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


_INTERRUPTED_TWICE = """
import atexit, os, signal, sys
from tina_framework.terminal.program import _termination_raises, run_program

# A shell starts programs in the background with SIGINT ignored, and a program that the tests start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

def body(words):
    if words:
        raise SystemExit(int(words[0]))  # the body stopped in order
    os.kill(os.getpid(), signal.SIGINT)

atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
sys.exit(run_program(body, sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("words", [[], ["130"], ["143"]])
def test_a_second_interrupt_prints_no_traceback(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_TWICE, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGINT
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("capsys")  # or the program would silence the file in which pytest keeps all output
def test_a_console_that_ends_the_program_at_a_closed_pipe() -> None:
    def body(words: list[str]) -> int:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904 (so does rich, which prints the help pages)

    assert run_program(body, []) == 141


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_signal_that_comes_in_a_destructor_is_not_lost() -> None:
    class Slow:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            sum(range(10_000))

    def work() -> None:
        Slow()
        for _ in range(100):
            time.sleep(0.05)

    with pytest.raises(Terminated), _termination_raises():
        work()
