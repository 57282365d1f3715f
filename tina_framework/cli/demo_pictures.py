"""The pictures that packages ship with their generators, so that a new classifier can be tried at once.

A package that registers a generator may hold the file ``demo/pictures.json`` and the pictures beside it::

    {"pictures": [{"file": "moose.jpg", "class": "moose", "kind": "photograph"}]}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, PluginError
from tina_framework.interfaces.class_names import fold
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import read_json

__all__ = ["DemoPicture", "demo_pictures"]

_LIST = "pictures.json"


@dataclass(frozen=True)
class DemoPicture:
    """A shipped picture.

    Attributes:
        path: the file.
        truth: what it shows.
        kind: ``photograph`` or ``drawing``.
    """

    path: Path
    truth: str
    kind: str


def demo_pictures(model: str, class_names: Sequence[str]) -> list[DemoPicture]:
    """Return the shipped pictures that show one of the classes. Upper case, underscores and hyphens do not matter.

    Args:
        model: the generator. If a package registered this name and ships pictures, they are used; otherwise those of this
            package.
        class_names: the classes of the classifier.

    Raises:
        PluginError: the list of a package's pictures is damaged, or a listed file is missing.
    """
    keys = {fold(name) for name in class_names}
    return [picture for picture in _listed(_demo_folder(model)) if fold(picture.truth) in keys]


def _demo_folder(model: str) -> Path:
    from importlib import resources

    generators = registries().generators
    package = generators.package_folder(model) if model in generators else None
    if package is not None and (package / "demo" / _LIST).is_file():
        return package / "demo"
    return Path(str(resources.files("tina_framework"))) / "demo"


def _listed(folder: Path) -> list[DemoPicture]:
    file = folder / _LIST
    if not file.is_file():
        return []
    try:
        pictures = [_picture(folder, entry) for entry in read_json(file)["pictures"]]
    except (CheckpointError, KeyError, TypeError) as error:
        raise PluginError(
            f"'{file}' is not a list of demo pictures as 'docs/how-to/plugins.md' describes; reinstall its package."
        ) from error
    for picture in pictures:
        if not picture.path.is_file():
            raise PluginError(
                f"'{file}' lists '{picture.path.name}', but there is no such file; reinstall its package."
            )
    return pictures


def _picture(folder: Path, entry: Any) -> DemoPicture:
    values = [entry[key] for key in ("file", "class", "kind")]
    if not all(isinstance(value, str) and value for value in values):
        raise TypeError("a value is not text")
    name, truth, kind = values
    return DemoPicture(folder / Path(name).name, truth, kind)
