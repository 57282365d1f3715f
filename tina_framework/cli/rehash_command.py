"""``tina rehash``: renew the digest of a settings file that was edited by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tina_framework.cli.output import print_json, print_line
from tina_framework.cli.path_parameters import path_argument
from tina_framework.errors import CheckpointError, ConfigError

__all__ = ["SETTINGS_FILES", "register", "renew_folder"]

SETTINGS_FILES = ("config.json", "zoo.json", "index.json")
"""The files with a digest of their own contents."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(rehash)


def rehash(
    folder: Annotated[Path, path_argument(metavar="DIR", help="Folder of a generator, a classifier or a zoo.")],
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Accept settings that you edited by hand.

    Every config.json, zoo.json and index.json holds a digest of its contents, so that accidental changes are noticed. This
    command renews the digest, and checks that the folder can still be loaded. If it cannot, nothing is changed. Weights
    keep their hashes: changed weights are still refused.
    """
    renewed = renew_folder(folder)
    if json_:
        print_json({"folder": str(folder), "renewed": renewed})
    elif renewed:
        print_line(f"Renewed the digest of {', '.join(renewed)} in '{folder}'.")
    else:
        print_line(f"The digests in '{folder}' are right already; nothing was changed.")


def renew_folder(folder: Path) -> list[str]:
    """Renew the digests in a folder, and return the names of the files that had other ones.

    Raises:
        ConfigError: the folder holds no settings file, or it cannot be written.
        CheckpointError: the folder cannot be loaded with its settings. Nothing is changed then.
    """
    from tina_framework.storage.digest import renew_digest
    from tina_framework.storage.files import replacing

    files = [folder / name for name in SETTINGS_FILES if (folder / name).is_file()]
    if not files:
        raise ConfigError(f"'{folder}' holds no {' or '.join(SETTINGS_FILES)}; give the folder of a model or a zoo.")
    before = {path: path.read_bytes() for path in files}
    try:
        renewed = [path.name for path in files if renew_digest(path)]
        try:
            _load(folder)
        except BaseException:
            for path, data in before.items():
                with replacing(path) as temporary:
                    temporary.write_bytes(data)
            raise
    except OSError as error:
        raise ConfigError(f"'{folder}' cannot be written ({error.strerror or error}); is it read-only?") from error
    return renewed


def _load(folder: Path) -> None:
    """Load a folder of any format that this package reads, to check its settings."""
    from tina_framework.classifier import folder as classifier
    from tina_framework.generator import config as generator_config
    from tina_framework.generator import folder as generator
    from tina_framework.storage.folders import is_folder_of
    from tina_framework.zoo.store import Zoo

    if is_folder_of(folder, classifier.FORMAT):
        classifier.read_folder(folder)
    elif is_folder_of(folder, generator_config.FORMAT):
        generator.read_folder(folder)
    elif (folder / "zoo.json").is_file():
        Zoo.open(folder).verify()
    else:
        raise CheckpointError(f"'{folder}' is neither a generator, nor a classifier, nor a zoo; restore its settings.")
