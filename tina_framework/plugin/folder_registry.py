"""Registries of folders: the generators and zoos that packages carry. Nothing inside a folder is read here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tina_framework.errors import PluginError, TinaError, shorten
from tina_framework.plugin.guard import seconds_to_load, why_stopped
from tina_framework.plugin.registry import STOPPING, Entry, Registry

__all__ = ["FolderRegistry"]

_INSIDE_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:(?!\.)[\w.-]+(/(?!\.)[\w.-]+)*")
"""``package:folder/inside``. No part of the folder begins with a dot, so it cannot lead out of the package."""


class FolderRegistry(Registry):
    """Names of one kind of folder. `target` and `create` return the folder's path, whose contents they do not check.

    A target is a string ``"package:folder/inside"``, which is looked up only when the name is used, or an absolute
    `pathlib.Path`, for a file given with ``--plugin``, which is in no package.
    """

    def _check_target(self, name: str, target: Any) -> None:
        if isinstance(target, Path):
            if not target.is_absolute():
                raise PluginError(
                    f"{self.kind.capitalize()} '{name}' has the target {shorten(str(target))}, which is a relative path; "
                    "write Path(__file__).parent in front of it."
                )
        elif not isinstance(target, str) or not _INSIDE_PACKAGE.fullmatch(target):
            raise PluginError(
                f"{self.kind.capitalize()} '{name}' has the target {shorten(target)}; give a string 'package:folder/inside' "
                "or an absolute pathlib.Path."
            )

    def package_folder(self, name: str) -> Path | None:
        """Return the folder of the package that carries a registered folder; None if it was given as a `pathlib.Path`.

        Raises:
            UnknownNameError, PluginError: as for `target`.
        """
        target = self.entry(name).target
        folder: Path = self.target(name)
        if isinstance(target, Path):
            return None
        return folder.parents[str(target).count("/")]

    def _resolve(self, entry: Entry) -> Any:
        """Return the folder."""
        what = self._what(entry)
        if isinstance(entry.target, Path):
            folder = entry.target
        else:
            from importlib import resources  # only needed once a folder is used

            package, _, inside = entry.target.partition(":")
            try:
                with self._guard(entry, seconds_to_load()):  # finding a package runs its __init__
                    folder = Path(str(resources.files(package))) / inside
            except (TinaError, *STOPPING):
                raise
            except BaseException as error:  # code of a plugin may raise anything
                raise PluginError(
                    f"{what} lies in the package '{package}', which cannot be imported ({why_stopped(error)}); "
                    "check its installation."
                ) from error
        if not folder.is_dir():
            raise PluginError(f"{what} points at '{entry.target}', but there is no such folder; reinstall it.")
        return folder

    def _check_own_name(self, entry: Entry, target: Any) -> None:
        """Accept any folder: it may have another name than the one it is registered under."""
