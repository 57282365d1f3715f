"""The folder of a training run: one process writes into it, and it belongs to the run alone."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError, TrainingError
from tina_framework.generator.config import FORMAT as GENERATOR_FORMAT
from tina_framework.storage.digest import with_digest
from tina_framework.storage.exchange import restore_missing
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.folders import CONFIG, is_folder_of
from tina_framework.storage.locks import folder_lock
from tina_framework.storage.temporary import sweep
from tina_framework.training import checkpoint
from tina_framework.training.export import recipe
from tina_framework.training.run_log import LOG

__all__ = ["BEST", "CHECKPOINTS", "FINISHED", "FORMAT", "describe", "forget_run", "hold", "writing"]

FORMAT = "tina-training-run"
_VERSION = 1

CHECKPOINTS = "checkpoints"
BEST = "best"
FINISHED = "generator"

_OTHERS = {"zoo.json": "a zoo", "results.json": "results of an evaluation", checkpoint.MANIFEST: "a checkpoint"}
"""File that marks a folder of another kind -> what such a folder holds."""


@contextlib.contextmanager
def hold(config: TrainingConfig) -> Iterator[None]:
    """Lock the output folder of a run, and remove what killed runs left half-written in it.

    Raises:
        ConfigError: another process writes into the folder, it holds something else, or it cannot be written.
    """
    output = config.output_dir
    _check_kind(output)
    with folder_lock(output, "trains a generator"):
        _check_kind(output)  # again, because another process may have held the lock until now
        for name in (CONFIG, LOG, BEST, FINISHED):
            restore_missing(output / name)
            sweep(output / name)
        checkpoint.clean(output / CHECKPOINTS)
        yield


def _check_kind(output: Path) -> None:
    """Check that a folder is missing, empty, the folder of a run, or one that a run may share."""
    try:
        if not output.is_dir():
            if output.exists() or output.is_symlink():
                raise ConfigError(f"output_dir is '{output}', which is not a folder. Choose another output_dir.")
            return
        names = {entry.name for entry in output.iterdir()}
    except OSError as error:
        raise ConfigError(
            f"output_dir is '{output}', which cannot be read ({error.strerror}). Choose another output_dir."
        ) from error
    if is_folder_of(output, FORMAT) or checkpoint.list_checkpoints(output / CHECKPOINTS):
        return
    if CONFIG in names:
        raise ConfigError(
            f"'{output}' holds {_kind_of(output)}, and training would write into it. Choose another output_dir."
        )
    other = next((what for name, what in _OTHERS.items() if name in names), None)
    # A run writes config.json first. Without it, the rest is somebody's data, which must not be deleted.
    mixed = next((name for name in (CHECKPOINTS, BEST, FINISHED, LOG) if name in names), None)
    if other or mixed:
        what = other or f"'{mixed}' but no {CONFIG} of a run"
        raise ConfigError(f"'{output}' holds {what}, and training would write into it. Choose another output_dir.")


def _kind_of(folder: Path) -> str:
    try:
        values = read_json(folder / CONFIG)
    except CheckpointError:
        return f"a {CONFIG} that cannot be read"
    kind = values.get("format") if isinstance(values, dict) else None
    known = {GENERATOR_FORMAT: "a generator", "tina-classifier": "a classifier"}
    return known.get(kind, f"a {CONFIG} of another program") if isinstance(kind, str) else f"another {CONFIG}"


def describe(config: TrainingConfig) -> None:
    """Write the recipe into the output folder, which marks it as the folder of a run."""
    values = {
        "format": FORMAT,
        "format_version": _VERSION,
        "recipe": recipe(config),
        "recipe_sha256": config.sha256(),
    }
    with writing(config.output_dir / CONFIG):
        write_json(config.output_dir / CONFIG, with_digest(values, CONFIG))


def forget_run(output: Path) -> None:
    """Remove the checkpoints and generators of the run that a folder holds, because another run starts there."""
    with writing(output):
        if (output / CHECKPOINTS).is_dir():
            shutil.rmtree(output / CHECKPOINTS)
        for folder in (output / BEST, output / FINISHED):
            if is_folder_of(folder, GENERATOR_FORMAT):
                shutil.rmtree(folder)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system into a sentence that names `path`, and not a temporary file beside it.

    Raises:
        TrainingError: the file cannot be written, for example on a full disk.
    """
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"'{path}' cannot be written ({error.strerror or error}). Earlier checkpoints are unchanged. Free some disk space, "
            "or make the folder writable, and resume."
        ) from error
