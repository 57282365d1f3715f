"""Where an export is written: a file with the format's suffix, or a folder that holds nothing but an earlier export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tina_framework.errors import CheckpointError, ConfigError, printable
from tina_framework.interfaces.exporter import Exporter
from tina_framework.storage.exchange import put_in_place
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.folders import check_target as check_folder
from tina_framework.storage.litter import is_litter
from tina_framework.storage.paths import real_path

__all__ = ["MARK", "check_target", "default_path", "place"]

MARK = "export.json"
"""A file in every exported folder. It lists the others, so that a folder with anything else in it is not replaced."""

_FORMAT = "tina-export"


def default_path(classifier: Path, exporter: Exporter, format: str) -> Path:
    """Return where an export goes by default: in the current folder, named after the classifier's folder."""
    # "." and ".." have names of their own, which other programs would hide or misread.
    plain = classifier.name not in ("", "..")
    name = (classifier.name if plain else real_path(classifier).name) or "classifier"
    return Path(f"{name}{exporter.suffix}" if exporter.suffix else f"{name}-{format}")


def check_target(path: Path, exporter: Exporter, format: str) -> None:
    """Check that an export may be written to `path`.

    Raises:
        ConfigError: it has another suffix, holds something that may not be replaced, or is no path that this system knows.
    """
    try:
        _check(path, exporter, format)
    except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be read, a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"'{printable(str(path))}' cannot be written ({reason}); choose another place.") from error


def _check(path: Path, exporter: Exporter, format: str) -> None:
    if "\0" in str(path):
        raise ValueError("it has a zero byte")
    if exporter.suffix:
        if path.is_dir():
            raise ConfigError(f"'{path}' is a folder; format '{format}' writes a file. Choose another place.")
        if path.exists() and not path.is_file():
            raise ConfigError(f"'{path}' is a device or a pipe; format '{format}' writes a file. Choose another place.")
        if path.name == exporter.suffix:
            raise ConfigError(f"'{path}' is only a suffix; name a file such as 'model{exporter.suffix}'.")
        if path.suffix != exporter.suffix:
            raise ConfigError(
                f"'{path}' does not end in {exporter.suffix}; name a file such as '{path.with_suffix(exporter.suffix)}'."
            )
        return
    check_folder(path, _is_export, f"'{format}' export")


def place(made: Path, path: Path, exporter: Exporter, format: str) -> None:
    """Move what was made to its place, in one step. An earlier export is replaced.

    Args:
        made: the file or folder, on the same disk as `path`.
        path: the place. It is no symbolic link, which would be replaced; see `real_path`.
        exporter: what made it.
        format: the exporter's name.

    Raises:
        ConfigError: something else was put there meanwhile.
        OSError: it cannot be moved.
    """
    check_target(path, exporter, format)
    if made.is_file():
        made.replace(path)
        return
    files = sorted(_files(made))
    write_json(made / MARK, {"format": _FORMAT, "exporter": format, "files": files})
    put_in_place(made, path)


def _is_export(path: Path) -> bool:
    try:
        values = read_json(path / MARK)
    except CheckpointError:
        return False
    if not isinstance(values, Mapping) or values.get("format") != _FORMAT or not isinstance(values.get("files"), list):
        return False
    return _files(path) <= {MARK, *map(str, values["files"])}


def _files(folder: Path) -> set[str]:
    """Return the paths of all files below a folder, with slashes, without those that operating systems leave."""
    return {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if not file.is_dir() and not is_litter(file.name)
    }
