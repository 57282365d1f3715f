"""Paths on the command line: ``~`` is the home folder in all of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.main import get_command

from tina_framework.cli.app import COMMANDS, build_app
from tina_framework.cli.path_parameters import path_argument, path_option
from tina_framework.storage.paths import user_path


def commands(group: Any, name: str = "tina") -> Iterator[tuple[str, Any]]:
    yield name, group
    for inner in group.list_commands(None) if hasattr(group, "list_commands") else ():
        yield from commands(group.get_command(None, inner), f"{name} {inner}")


def holds_path(annotation: Any) -> bool:
    return annotation is Path or any(holds_path(part) for part in get_args(annotation))


def test_every_path_of_every_command_is_of_this_type() -> None:
    found = []
    for name, command in commands(get_command(build_app())):
        function = inspect.unwrap(command.callback) if command.callback is not None else None
        for parameter, hint in get_type_hints(function, include_extras=True).items() if function else ():
            if get_origin(hint) is Annotated and holds_path(get_args(hint)[0]):
                found.append(name)
                assert get_args(hint)[1].parser is user_path, f"{name}: use path_option for '{parameter}'"
    assert {"tina", "tina generate", "tina classify", "tina zoo build", "tina evaluate", "tina plugins new"} <= set(
        found
    )
    assert COMMANDS


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    seen: list[Any] = []
    app = typer.Typer()

    @app.command()
    def show(
        many: Annotated[list[Path], path_argument(help="Some.")],
        out: Annotated[Path, path_option("--out", help="One.")] = Path("default"),
    ) -> None:
        seen.append((many, out))

    command: Any = get_command(app)
    for words in (["~/a", "b", "--out=~/c"], ["~"], ["~nobody-of-that-name/a"]):
        with command.make_context("show", words) as context:
            command.invoke(context)
    assert seen == [
        ([tmp_path / "a", Path("b")], tmp_path / "c"),
        ([tmp_path], Path("default")),
        ([Path("~nobody-of-that-name/a")], Path("default")),
    ]
