"""Options and arguments that are paths. In all of them ``~`` is the home folder, also in ``--out=~/run``."""

from __future__ import annotations

from typing import Any

import typer

from tina_framework.storage.paths import user_path

__all__ = ["path_argument", "path_option"]


def path_option(*names: str, help: str, metavar: str = "PATH") -> Any:
    """Return a `typer.Option` for a path or a list of paths."""
    return typer.Option(*names, help=help, metavar=metavar, parser=user_path)


def path_argument(*, help: str, metavar: str | None = None) -> Any:
    """Return a `typer.Argument` for a path or a list of paths."""
    return typer.Argument(help=help, metavar=metavar, parser=user_path)
