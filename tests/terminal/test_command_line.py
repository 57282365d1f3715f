"""Commands in messages can be pasted, wherever the program is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tina_framework.terminal import command_line
from tina_framework.terminal.command_line import command, program, python, same_command, with_program
from tina_framework.terminal.program import run_program


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment ``.venv`` in the current folder, which is not active. ``tina`` of it runs this process."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("tina", "python"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(folder / "tina")])
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path)
    return folder


def test_an_active_environment_needs_no_path(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{environment}{os.pathsep}/usr/bin")
    assert (program(), python()) == ("tina", "python")
    assert command("classify", "a folder", "PICTURE...") == "tina classify 'a folder' PICTURE..."
    assert command("classify", Path("-x"), "--json") == "tina classify ./-x --json", "no option"


def test_another_program_of_that_name_on_path_is_not_meant(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "tina").write_text("#!/bin/sh\n")
    (other / "tina").chmod(0o755)
    monkeypatch.setenv("PATH", str(other))
    assert program() == ".venv/bin/tina"


def test_a_path_is_relative_inside_the_current_folder(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("zoo", "info", "zoo") == ".venv/bin/tina zoo info zoo"
    assert program(elsewhere=True) == str(environment / "tina")
    monkeypatch.setattr(sys, "argv", [".venv/bin/tina"])  # as the shell passes it on
    assert program() == ".venv/bin/tina"
    monkeypatch.chdir(environment)
    monkeypatch.setattr(sys, "argv", ["./tina"])
    assert program() == "./tina"
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "argv", [str(environment / "tina")])
    assert program() == str(environment / "tina")[1:], "everything is inside the root"


def test_a_path_with_spaces_is_quoted(environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my tools").symlink_to(environment)
    monkeypatch.setattr(sys, "argv", ["my tools/tina"])
    assert program() == "'my tools/tina'"


def test_a_module_run_by_python_names_the_script_beside_it(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/tina_framework/cli/__main__.py"])
    assert program() == ".venv/bin/tina"
    (environment / "tina").unlink()
    assert program() == ".venv/bin/python -m tina_framework.cli"


def test_messages_name_commands_as_they_are_typed(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "'tina turner' is unknown; run `tina list encoders`, or install it: pip install 'tina-sounds[audio]'."
    assert with_program(message) == (
        "'tina turner' is unknown; run `.venv/bin/tina list encoders`, "
        "or install it: .venv/bin/python -m pip install 'tina-sounds[audio]'."
    )
    monkeypatch.setenv("PATH", f"{environment}{os.pathsep}/usr/bin")
    assert with_program(message) == message


def test_the_same_command_is_that_of_the_program(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "_arguments", None)
    assert same_command() is None
    run_program(lambda words: 0, ["zoo", "build", "--out", "my zoo", "--debug"])
    assert same_command() == ".venv/bin/tina zoo build --out 'my zoo'"


def test_without_the_current_folder_the_path_is_absolute(tmp_path: Path) -> None:
    script = (
        "import os, sys; os.rmdir(os.getcwd()); "
        "from tina_framework.terminal.command_line import program; print(program())"
    )
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=gone,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": "/usr/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[0]).is_absolute()
