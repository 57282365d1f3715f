"""Find the pictures, classes and splits in folders. Every command uses these functions, so that the same files count everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tina_framework.errors import DataError
from tina_framework.images.reader import NO_PICTURES
from tina_framework.interfaces.class_names import name_fault, normalize_name
from tina_framework.storage.litter import is_litter

__all__ = ["SPLIT_NAMES", "class_folders", "picture_files", "split_folders", "split_of"]

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Split -> the names that people give it. Upper and lower case do not matter."""

_SYSTEM_FOLDERS = frozenset(
    {
        "$recycle.bin", "#recycle", "#snapshot", "@recently-snapshot", "@recycle", "@tmp", "__macosx", "__pycache__",
        "lost+found", "network trash folder", "recycled", "recycler", "system volume information", "temporary items",
    }
)  # fmt: skip
"""Folders that systems, servers and archives leave beside those of users, in lower case."""


def picture_files(folder: Path) -> list[Path]:
    """Return the picture files that lie in a folder, sorted by name.

    A picture file has an extension of a format that Pillow reads. Upper and lower case do not matter. Hidden files, the files
    of operating systems and folders do not count.

    Raises:
        DataError: the folder cannot be read.
    """
    extensions = {extension for extension, name in Image.registered_extensions().items() if name not in NO_PICTURES}
    return [
        folder / entry.name
        for entry in _visible(folder)
        if Path(entry.name).suffix.lower() in extensions and not _is_folder(entry)
    ]


def class_folders(folder: Path, key: Callable[[str], str] = str) -> list[tuple[str, Path]]:
    """Return the class folders in a folder, each with the name of its class, sorted by `key` of the name.

    Hidden folders, and those that operating systems leave (``__MACOSX``, ``@eaDir`` and others), are not classes. Names are
    normalised by `normalize_name`, because systems write letters with accents in two forms.

    Args:
        folder: the folder.
        key: name -> what distinguishes two classes, for example the name in lower case.

    Raises:
        DataError: the folder cannot be read, a name cannot be one of a class, or two folders are the same class.
    """
    found: dict[str, tuple[str, Path]] = {}
    for entry in _visible(folder):
        if not _is_folder(entry):
            continue
        path = folder / entry.name
        name = normalize_name(entry.name)
        if fault := name_fault(key(name)) or name_fault(name):
            raise DataError(f"The folder {entry.name!a} in '{folder}' cannot name a class: it {fault}; rename it.")
        if (other := found.get(key(name))) is not None:
            raise DataError(
                f"The folders {other[1].name!a} and {entry.name!a} in '{folder}' are the same class '{key(name)}'; "
                "put their pictures into one."
            )
        found[key(name)] = (name, path)
    return [found[identity] for identity in sorted(found)]


def split_of(name: str) -> str | None:
    """Return which split a name means: ``train``, ``validation`` or ``test``; None: no split."""
    folded = name.casefold()
    return next((split for split, names in SPLIT_NAMES.items() if folded in names), None)


def split_folders(folder: Path) -> dict[str, Path]:
    """Return split -> folder if a folder holds ``train`` and other splits, else an empty dictionary.

    The folder of a split holds class folders. A class may be called ``train``, too: its folder holds pictures.

    Raises:
        DataError: the folder cannot be read; a folder beside a split is not a split; two folders are the same split; a split has
            no class folders; or there is no ``train``.
    """
    paths = [folder / entry.name for entry in _visible(folder) if _is_folder(entry)]
    named = [(split_of(path.name), path) for path in paths]
    if not any(split is not None and _holds_classes(path) for split, path in named):
        return {}
    found: dict[str, Path] = {}
    for split, path in named:
        if split is None:
            known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
            raise DataError(
                f"'{path}' lies beside folders of splits but is not a split ({known}); rename it or move it elsewhere."
            )
        if split in found:
            raise DataError(f"'{found[split]}' and '{path}' are both the split '{split}'; put them into one folder.")
        if not _holds_classes(path):
            raise DataError(
                f"'{path}' is a split, but it holds no class folders, or pictures beside them; "
                "put its pictures into one folder a class, or move it elsewhere."
            )
        found[split] = path
    if "train" not in found:
        raise DataError(f"'{folder}' has the splits {', '.join(found)} but no folder 'train'; add it.")
    return found


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name, without hidden entries and those of operating systems."""
    try:
        with os.scandir(folder) as entries:
            found = [
                entry
                for entry in entries
                if not entry.name.startswith(".")
                and not is_litter(entry.name)
                and entry.name.casefold() not in _SYSTEM_FOLDERS
            ]
    except OSError as error:
        raise DataError(f"The folder '{folder}' cannot be read ({error.strerror}); check it.") from error
    return sorted(found, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads back to itself. Reading it as a picture gives a clear message.
        return False


def _holds_classes(folder: Path) -> bool:
    return any(_is_folder(entry) for entry in _visible(folder)) and not picture_files(folder)
