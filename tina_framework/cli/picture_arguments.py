"""The pictures that ``tina classify`` was given: files, and folders with or without one sub-folder for each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tina_framework.errors import DataError
from tina_framework.images import class_folders, picture_files, split_of
from tina_framework.interfaces.class_names import fold

__all__ = ["GivenPicture", "GivenPictures", "given_pictures"]


@dataclass(frozen=True)
class GivenPicture:
    """A picture file.

    Attributes:
        path: the file.
        truth: its class, if its folder has the name of one.
        outside: its folder is not named after a class.
        from_folder: the user gave a folder that holds it, not the file itself.
    """

    path: Path
    truth: str | None = None
    outside: bool = False
    from_folder: bool = False

    @property
    def labelled(self) -> bool:
        return self.outside or self.truth is not None


@dataclass
class GivenPictures:
    """All pictures, and what could not be used.

    Attributes:
        pictures: in the order given; those of a folder sorted by name.
        errors: one sentence for each folder without pictures.
    """

    pictures: list[GivenPicture] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def outside(self) -> dict[str, int]:
        """Return the number of pictures in each folder that is not named after a class."""
        found: dict[str, int] = {}
        for picture in self.pictures:
            if picture.outside:
                found[picture.path.parent.name] = found.get(picture.path.parent.name, 0) + 1
        return found


def given_pictures(paths: Sequence[Path], class_names: Sequence[str]) -> GivenPictures:
    """List the pictures of files and folders.

    The pictures directly in a folder have no known class. Those in a sub-folder belong to the class of that name; upper case,
    underscores and hyphens do not matter. Deeper folders are not read.

    Args:
        paths: files and folders.
        class_names: the classes of the classifier.

    Raises:
        DataError: a folder holds the splits of a data set, or two sub-folders are the same class.
    """
    given = GivenPictures()
    known = {fold(name): name for name in class_names}
    for path in paths:
        if not path.is_dir():
            given.pictures.append(GivenPicture(path))
            continue
        try:
            found = list(_in_folder(path, known))
        except DataError as error:
            if len(paths) == 1:
                raise
            given.errors.append(str(error))
            continue
        given.pictures += found
        if not found:
            given.errors.append(
                f"The folder '{path}' and its sub-folders have no pictures (files ending in .jpg, .png, ...). Add some; "
                "deeper folders are not read."
            )
    return given


def _in_folder(folder: Path, known: dict[str, str]) -> Iterator[GivenPicture]:
    for file in picture_files(folder):
        yield GivenPicture(file, from_folder=True)
    for name, path in class_folders(folder, key=fold):
        files = picture_files(path)
        # A class may be called "train", too; its folder holds pictures.
        if split_of(name) and not files and class_folders(path):
            raise DataError(f"'{path}' holds the classes of a data set's split; give '{path}' itself.")
        truth = known.get(fold(name))
        for file in files:
            yield GivenPicture(file, truth, outside=truth is None, from_folder=True)
