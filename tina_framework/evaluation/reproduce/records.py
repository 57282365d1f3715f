"""Reading, checking and writing records: which tables there are, their figures, and the tasks and images of these.

Tables are defined by hand in ``record.json``. ``tina reproduce NAME --record`` writes the key `recorded` of each
table.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError, UnknownNameError
from tina_framework.evaluation.reproduce.fingerprints import Fingerprint
from tina_framework.plugin.suggest import did_you_mean
from tina_framework.storage.files import read_json, replacing
from tina_framework.zoo.tasks import GENERATOR

__all__ = ["Record", "Table", "TableResult", "open_record", "record_names", "select_tables", "write_record"]

FORMAT, VERSION, INDEX = "tina-record", 1, "record.json"


@dataclass(frozen=True)
class TableResult:
    """The recorded result of a table.

    Attributes:
        model_sha256: SHA-256 of the generator's configuration, which includes its weights (`config_sha256`).
        images: split -> fingerprint of its images.
        setup: date, package version, torch, processor.
        rows: accuracy and difference from the reference of every method, as fractions of 1. They are computed from
            the file of tasks, and are meant for readers of the record.
    """

    model_sha256: str
    images: dict[str, Fingerprint]
    setup: dict[str, Any]
    rows: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        images = {split: found.to_json() for split, found in self.images.items()}
        return {"model_sha256": self.model_sha256, "images": images, "setup": self.setup, "rows": self.rows}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TableResult:
        images = {split: Fingerprint.from_json(found) for split, found in value["images"].items()}
        return cls(str(value["model_sha256"]), images, dict(value["setup"]), list(value["rows"]))


@dataclass(frozen=True)
class Table:
    """One table: what to run, and the recorded result.

    Attributes:
        name: its name. Its tasks are in ``NAME.json`` of the record's folder.
        title: a title for users.
        model: registered name of a generator.
        task_file: the file that the tasks come from, in a checkout of the repository. It is read only when recording.
        methods: as `tina evaluate --methods` takes them.
        against: the reference method of the differences.
        encoder: spec of an encoder.
        image_split: the images that networks are measured on.
        tolerance: how far a figure may be from the recorded one on the same images, in points.
        seed: seed of generation.
        quick_tasks: how many tasks ``--quick`` takes; None: it leaves the table out.
        fine_tune_tasks: how many tasks of each split *fine-tune* trains on; None: all.
        recorded: the recorded result; None: nothing is recorded yet.
    """

    name: str
    title: str
    model: str
    task_file: str
    methods: str
    against: str = "selection"
    encoder: str = "clip-lite"
    image_split: str = "test"
    tolerance: float = 0.3
    seed: int = 0
    quick_tasks: int | None = 20
    fine_tune_tasks: int | None = None
    recorded: TableResult | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the table as in ``record.json``, without default values."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "recorded"}
        defaults = {field.name: field.default for field in fields(self)}
        plain = {key: value for key, value in values.items() if value != defaults[key]}
        return plain if self.recorded is None else plain | {"recorded": self.recorded.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Table:
        recorded = value.get("recorded")
        return cls(**{**value, "recorded": None if recorded is None else TableResult.from_json(recorded)})


@dataclass(frozen=True)
class Record:
    """All tables of one record.

    Attributes:
        name: its name in ``tina reproduce NAME``.
        folder: the folder of the record.
        data: the data set, described for users.
        tables: in the order of the file.
    """

    name: str
    folder: Path
    data: str
    tables: tuple[Table, ...]

    def tasks(self, table: Table) -> list[dict[str, Any]]:
        """Return the recorded tasks: ``{"classes", "split", "accuracy": {method: fraction of 1}}``."""
        path = self.folder / f"{table.name}.json"
        value = read_json(path)
        if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
            raise _broken(path)
        return list(value["tasks"])

    def digests(self, split: str) -> list[str]:
        """Return the shortened digests of the recorded images of a split (see `fingerprints`)."""
        path = self.folder / f"images-{split}.txt"
        return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _root() -> Path:
    return Path(str(resources.files("tina_framework"))) / "evaluation" / "recorded"


def record_names() -> list[str]:
    """Return the names that `open_record` knows."""
    return sorted(path.parent.name for path in _root().glob(f"*/{INDEX}"))


def open_record(name: str) -> Record:
    """Read the record of a name.

    Raises:
        UnknownNameError: there is no such record.
        CheckpointError: the record is damaged.
    """
    if name not in record_names():
        hint = did_you_mean(name, record_names())
        raise UnknownNameError(f"Nothing is recorded under '{name}'.{hint} Known: {', '.join(record_names())}.")
    folder = _root() / name
    value = read_json(folder / INDEX)
    try:
        if (value["format"], value["format_version"]) != (FORMAT, VERSION):
            raise _broken(folder / INDEX)
        tables = tuple(Table.from_json(entry) for entry in value["tables"])
        return Record(name, folder, str(value["data"]), tables)
    except (KeyError, TypeError, AttributeError):
        raise _broken(folder / INDEX) from None


def _broken(path: Path) -> CheckpointError:
    return CheckpointError(f"'{path}' is not a record of this version; install the package again.")


def select_tables(record: Record, names: Sequence[str]) -> list[Table]:
    """Return the tables of these names; all tables if no name is given.

    Raises:
        UnknownNameError: a table does not exist.
    """
    known = {table.name: table for table in record.tables}
    for name in names:
        if name not in known:
            raise UnknownNameError(f"'{record.name}' has no table '{name}'. It has: {', '.join(known)}.")
    return [table for table in record.tables if not names or table.name in names]


def write_record(
    record: Record,
    recorded: Mapping[str, tuple[TableResult, Sequence[Mapping[str, Any]]]],
    digests: Mapping[str, Sequence[str]],
) -> None:
    """Write new results: all files, or none of them.

    Args:
        record: the record so far.
        recorded: name of a table -> its result, and its tasks with accuracies.
        digests: split -> shortened digests of its images.

    Raises:
        ConfigError: the package's folder cannot be written.
    """
    tables = [replace(t, recorded=recorded[t.name][0]) if t.name in recorded else t for t in record.tables]
    index = {"format": FORMAT, "format_version": VERSION, "data": record.data, "tables": [t.to_json() for t in tables]}
    texts = {INDEX: json.dumps(index, indent=2, ensure_ascii=False, allow_nan=False) + "\n"}
    for name, (_, tasks) in recorded.items():
        # One task on each line keeps changes of a record readable in a diff.
        lines = ",\n".join("  " + json.dumps(task, ensure_ascii=False, allow_nan=False) for task in tasks)
        texts[f"{name}.json"] = f'{{"generator": {json.dumps(GENERATOR)}, "tasks": [\n{lines}\n]}}\n'
    for split, found in digests.items():
        texts[f"images-{split}.txt"] = "\n".join(sorted(found)) + "\n"
    try:
        with contextlib.ExitStack() as stack:
            for file, text in texts.items():
                stack.enter_context(replacing(record.folder / file)).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The record cannot be written to '{record.folder}' ({error.strerror or error}); use --record in a checkout of the repository."
        ) from error
