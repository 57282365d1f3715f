"""The application: its commands, global options, and the commands of plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tina_framework.cli import app as app_module
from tina_framework.cli.__main__ import main
from tina_framework.plugin import discovery


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(discovery, "_host", None)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(args)
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in app_module.COMMANDS:
        assert command in out
    assert run(capsys, "-h")[1] == out


@pytest.mark.parametrize("command", app_module.COMMANDS)
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"tina {command}" in out


HANGS = """
import time
time.sleep(600)
"""


def test_version_and_help_pages_load_no_plugin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fake_hangs.py").write_text(HANGS)
    info = tmp_path / "fake_hangs-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[tina_framework]\nfake-hangs = fake_hangs\n")
    monkeypatch.syspath_prepend(tmp_path)
    for words in (["--version"], ["--help"], ["generate", "--help"], ["zoo", "--help"], ["train", "--help"]):
        assert run(capsys, *words)[0] == 0
    assert discovery._host is None


@pytest.mark.parametrize(
    "words", [[":bus:"], ["list", ":bus:"], ["--plugin", ":bus:", "list", "encoders"], ["classify", "c", "--:bus:"]]
)
def test_a_wrong_call_is_repeated_as_it_was_written(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert ":bus:" in err


def test_revisions_are_options_of_the_commands_that_name_a_generator(capsys: pytest.CaptureFixture[str]) -> None:
    rest = {"generate": ["apple", "bus"], "evaluate": ["--dataset", "x", "--out", "y"], "diagnose": ["--dataset", "x"]}
    for command, words in rest.items():
        code, _, err = run(capsys, command, "--model", "owner/name@v1", "--revision", "v2", *words)
        assert (code, "states the revision 'v1'" in err) == (2, True)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import tina_framework

    assert run(capsys, "--version")[:2] == (0, f"tina-framework {tina_framework.__version__}\n")


def test_a_plugin_file_registers_before_the_command_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(f"import tina_framework as t\nt.register_dataset('set-{name}')(len)\n")
    code, out, _ = run(
        capsys, "--plugin", str(tmp_path / "one.py"), "--plugin", str(tmp_path / "two.py"), "plugins", "list", "--json"
    )
    assert code == 0
    assert "set-one" in out
    assert "set-two" in out


def test_a_broken_plugin_file_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import not_there_at_all")
    code, _, err = run(capsys, "--plugin", str(tmp_path / "bad.py"), "plugins", "list")
    assert (code, err) == (
        1,
        "Error: Plugin 'bad.py' failed to load: No module named 'not_there_at_all'; install it: pip install not-there-at-all.\n",
    )
    code, _, err = run(capsys, "--plugin", "nowhere.py", "plugins", "list")
    assert (code, err) == (
        2,
        "Error: 'nowhere.py' is not a Python file; give --plugin the path of an existing .py file.\n",
    )


COMMANDS = """
TINA_API = "2.0"
from tina_framework import hookimpl

def odd(value: int | str): ...

@hookimpl
def tina_commands(app):
    @app.command({name!r})
    def command(word: str) -> None:
        "From a plugin."
        print("plugin says", word)
    {then}
"""


@pytest.mark.parametrize(
    ("name", "then", "works", "error"),
    [
        ("fake-hello", "", True, None),
        ("fake-hello", "raise ValueError('late')", False, "ValueError: late"),
        ("plugins", "", False, "the command 'plugins' exists already; rename it"),
        ("fake-hello", "app.command('fake-hello')(print)", False, "the command 'fake-hello' exists already"),
        ("fake-hello", "app.command('x')(odd)", False, "doesn't support Union types"),
    ],
)
def test_commands_of_plugins(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    then: str,
    works: bool,
    error: str | None,
) -> None:
    (tmp_path / "fake_commands.py").write_text(COMMANDS.format(name=name, then=then))
    info = tmp_path / "fake_commands-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[tina_framework]\nfake-commands = fake_commands\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, out, _ = run(capsys, "fake-hello", "world")
    assert (code == 0, "plugin says world" in out) == (works, works)
    monkeypatch.setattr(discovery, "_host", None)
    listed = run(capsys, "plugins", "list")
    assert listed[0] == 0
    if error is None:
        assert f"commands: {name}" in listed[1]
    else:
        assert error in listed[1]
