"""The entry point of the command line: exit codes, one-line errors and --debug."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from tina_framework.cli import app as app_module
from tina_framework.cli.__main__ import main
from tina_framework.errors import DataError, PromptError


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(args)
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command ``boom`` that raises the error in the returned dictionary."""
    holder: dict[str, BaseException] = {}

    def built_in(name: str) -> Any:
        app = typer.Typer()

        @app.command(name)
        def boom(names: list[str] | None = None) -> None:
            raise holder["error"]

        return get_command(app)

    monkeypatch.setattr(app_module, "COMMANDS", ("boom",))
    monkeypatch.setattr(app_module, "_built_in", built_in)
    return holder


@pytest.mark.parametrize(
    "args", [["nonsense"], ["--nonsense"], ["plugins", "list", "--nonsense"], ["plugins", "nonsense"]]
)
def test_usage_errors_exit_2(capsys: pytest.CaptureFixture[str], args: list[str]) -> None:
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, "")
    assert "nonsense" in err


def commands_with_json() -> list[tuple[str, ...]]:
    """Every command that takes --json, as the words that name it."""

    def below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        with group.make_context("tina", [], resilient_parsing=True) as context:
            for name in group.list_commands(context):
                command = group.get_command(context, name)
                if hasattr(command, "list_commands"):
                    yield from below(command, (*words, name))
                elif any("--json" in parameter.opts for parameter in command.params):
                    yield (*words, name)

    return list(below(get_command(app_module.build_app()), ()))


@pytest.mark.parametrize("words", commands_with_json(), ids=" ".join)
def test_every_json_command_reports_wrong_usage_as_json(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *words, "--json", "--nonsense")
    found = json.loads(out)["error"]
    assert (code, found["type"], found["exit_code"]) == (2, "UsageError", 2)
    assert "nonsense" in found["message"]
    assert err.startswith("Error: ")
    assert "--help` for help." in err


def test_usage_errors_name_the_program_as_it_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, "plugins", "list", "--nonsense")
    assert err.splitlines()[-1] == "Try `tina plugins list --help` for help."


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("The file is broken; mend it."), 1, "Error: The file is broken; mend it."),
        (PromptError("No class names."), 2, "Error: No class names."),
        (KeyError("some\nkey"), 1, "Unexpected KeyError: 'some\\nkey'. Run again with --debug to see where."),
        (ValueError("two\nlines"), 1, "Unexpected ValueError: two lines. Run again with --debug to see where."),
        (RuntimeError(), 1, "Unexpected RuntimeError: no reason given. Run again with --debug to see where."),
        (PermissionError(13, "Permission denied", "out/model"), 1, "Error: Permission denied ('out/model')."),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], raising: dict[str, BaseException], error: Exception, code: int, line: str
) -> None:
    raising["error"] = error
    assert run(capsys, "boom") == (code, "", line + "\n")


@pytest.mark.parametrize("args", [["--debug", "boom"], ["boom", "--debug"]])
def test_debug_shows_the_traceback_at_any_place(
    capsys: pytest.CaptureFixture[str], raising: dict[str, BaseException], args: list[str]
) -> None:
    raising["error"] = DataError("The file is broken.")
    code, _, err = run(capsys, *args)
    assert code == 1
    assert "Traceback" in err
    assert "in boom" in err
    assert err.endswith("Error: The file is broken.\n")


def test_debug_after_a_double_dash_is_an_argument(
    capsys: pytest.CaptureFixture[str], raising: dict[str, BaseException]
) -> None:
    raising["error"] = DataError("Reached.")
    assert run(capsys, "boom", "--", "--debug")[0] == 2  # boom takes no arguments


def test_an_interrupt_exits_130(capsys: pytest.CaptureFixture[str], raising: dict[str, BaseException]) -> None:
    raising["error"] = KeyboardInterrupt()
    code, _, err = run(capsys, "boom")
    assert code == 130
    assert "Traceback" not in err


def test_the_installed_command_and_the_module_are_the_same() -> None:
    environment = {**os.environ, "COLUMNS": "100"}
    module = subprocess.run(
        [sys.executable, "-m", "tina_framework.cli", "plugins", "list", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert module.returncode == 0, module.stderr
    assert '"builtins"' in module.stdout
