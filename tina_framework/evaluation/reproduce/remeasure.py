"""Measuring the tables of a record again and comparing the figures, or writing the record anew."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.evaluation.evaluate import EvaluationRequest, config_sha256, evaluate
from tina_framework.evaluation.harness import Progress, no_progress
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.reproduce.figures import Figure, Key, Verdict, figures, judge, rows
from tina_framework.evaluation.reproduce.fingerprints import Match, fingerprint, picture_digests, shortened
from tina_framework.evaluation.reproduce.picture_check import PictureCheck, splits_of
from tina_framework.evaluation.reproduce.records import Record, Table, TableResult, write_record
from tina_framework.evaluation.results import Results
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import write_json
from tina_framework.storage.folders import CONFIG
from tina_framework.zoo.tasks import GENERATOR

if TYPE_CHECKING:
    from tina_framework.interfaces.dataset import Dataset

__all__ = ["Outcome", "Row", "record_tables", "remeasure", "runnable"]


@dataclass(frozen=True)
class Row:
    """One figure, recorded and measured."""

    key: Key
    recorded: Figure
    measured: Figure | None
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        split, count, method = self.key
        value: dict[str, Any] = {"method": method, "split": split, "num_classes": count}
        for name, figure in (("recorded", self.recorded), ("measured", self.measured)):
            if figure is not None:
                difference = None if figure.difference is None else figure.difference.to_json()
                value[name] = {"num_tasks": figure.accuracy.n, "accuracy": figure.accuracy.to_json()}
                value[name]["difference"] = difference
        return value | {"holds": self.verdict.holds, "verdict": self.verdict.text}


@dataclass(frozen=True)
class Outcome:
    """One table that was measured again.

    Attributes:
        table: which table.
        rows: all recorded figures.
        notes: what differs from the recording.
        results: what was measured, as `tina evaluate` writes it.
    """

    table: Table
    rows: list[Row]
    notes: list[str]
    results: Results

    @property
    def holds(self) -> bool:
        return all(row.verdict.holds for row in self.rows)


def bundled_folder(name: str) -> Path:
    """Return the folder of the generator that is registered under a name. No folder of the user is searched.

    Raises:
        UnknownNameError: no generator has that name.
        PluginError: its folder does not exist.
    """
    folder: Path = registries().generators.target(name)
    return folder


def _is_bundled(name: str) -> bool:
    try:
        return (bundled_folder(name) / CONFIG).is_file()
    except (UnknownNameError, PluginError):
        return False


def runnable(tables: Sequence[Table], *, recording: bool, quick: bool = False) -> tuple[list[Table], list[str]]:
    """Return the tables that can be run now, and the reasons why the others cannot."""
    chosen, reasons = [], []
    for table in tables:
        if not _is_bundled(table.model):
            reasons.append(f"Left out: {table.name}: the generator '{table.model}' is not installed.")
        elif table.recorded is None and not recording:
            reasons.append(f"Left out: {table.name}: nothing is recorded yet.")
        elif quick and table.quick_tasks is None:
            reasons.append(f"Left out: {table.name}: --quick does not take it.")
        else:
            chosen.append(table)
    return chosen, reasons


def remeasure(
    record: Record,
    table: Table,
    check: PictureCheck,
    *,
    encoder: str | None = None,
    quick: bool = False,
    device: str = "auto",
    command: str = "",
    progress: Progress = no_progress,
) -> Outcome:
    """Run one table.

    Args:
        record: the record of the table.
        table: a table with a recorded result.
        check: the images to measure on.
        encoder: spec of another encoder than the recorded one.
        quick: run only a few of the tasks, evenly spaced, and no fine-tuning.
        device: ``auto``, ``cpu``, ``cuda``, ...
        command: the command line, for the results.
        progress: shows the progress.
    """
    if table.recorded is None:
        raise ConfigError(f"Nothing is recorded for the table '{table.name}'; run with --record first.")
    tasks, methods = record.tasks(table), table.methods.split(",")
    if quick:
        count = min(table.quick_tasks or len(tasks), len(tasks))
        tasks = [tasks[i * len(tasks) // count] for i in range(count)]
        methods = [method for method in methods if not method.startswith("fine-tune")]
    recorded = {key: figure for key, figure in figures(tasks, table.against).items() if key[2] in methods}
    # `evaluate` reads task files. The key "generator" marks the file as our own, so leaking tasks stop the run.
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder) / "tasks.json", {"generator": GENERATOR, "tasks": tasks})
        request = _request(
            table, check.dataset, Path(folder) / "tasks.json", ",".join(methods), encoder, device, command
        )
        results = evaluate(request, progress)
    measured = figures(results.tasks["tasks"], table.against)
    other_encoder = encoder not in (None, table.encoder)
    found = []
    for key, figure in recorded.items():
        exact = not other_encoder and all(_exact(key[2], split, check.matches.get(split)) for split in splits_of(table))
        found.append(Row(key, figure, measured.get(key), judge(figure, measured.get(key), table.tolerance, same=exact)))
    notes = [f"Not run: {entry['method']}: {entry['reason']}" for entry in results.summary["skipped"]]
    if results.summary["setup"]["model"]["config_sha256"] != table.recorded.model_sha256:
        notes.append(f"The bundled '{table.model}' is not the one that was recorded, so its figures may differ.")
    if other_encoder:
        notes.append(f"Recorded with the encoder '{table.encoder}', so 95 % intervals are compared.")
    return Outcome(table, found, notes, results)


def _exact(method: str, split: str, match: Match | None) -> bool:
    """Return whether the method must give the recorded figure up to rounding.

    Training depends on the images' order, measuring does not.
    """
    if split == "train":
        return not method.startswith("fine-tune") or match is Match.same
    return match is not Match.other


def _request(
    table: Table, dataset: Dataset, tasks: Path, methods: str, encoder: str | None, device: str, command: str
) -> EvaluationRequest:
    return EvaluationRequest(
        model=str(bundled_folder(table.model)),
        dataset=dataset,
        tasks=tasks,
        methods=parse_methods(methods),
        encoder=encoder or table.encoder,
        image_split=table.image_split,
        fine_tune_tasks=table.fine_tune_tasks,
        device=device,
        seed=table.seed,
        command=command,
        novelty=False,  # not part of a recorded table, and slow
    )


def record_tables(
    record: Record,
    tables: Sequence[Table],
    dataset: Dataset,
    *,
    device: str = "auto",
    command: str = "",
    progress: Progress = no_progress,
    on_table: Callable[[Table, Results], None] = lambda table, results: None,
) -> None:
    """Run tables and write their results into the record.

    Args:
        record: the record to be written.
        tables: which tables to run. The others keep their results.
        dataset: the images to measure on.
        device: ``auto``, ``cpu``, ``cuda``, ...
        command: the command line, for the results.
        progress: shows the progress.
        on_table: called after each table.

    Raises:
        ConfigError: a task file is missing, the package's folder cannot be written, or a table that is not run was
            recorded on other images.
    """
    for table in tables:
        if not Path(table.task_file).is_file():
            raise ConfigError(f"'{table.task_file}' is not here; run --record in the root of a checkout.")
    images, digests = {}, {}
    for split in sorted({split for table in tables for split in splits_of(table)}):
        data = dataset.load(split)
        found = picture_digests(data, dataset.class_names)
        images[split] = fingerprint(data, found)
        if any(table.image_split == split for table in tables):
            digests[split] = shortened(found)
    # All tables of a record share one file of digests for each split, so they must be of the same images.
    names = {table.name for table in tables}
    for other in record.tables:
        old = other.recorded.images if other.recorded and other.name not in names else {}
        if any(split in images and images[split].unordered != found.unordered for split, found in old.items()):
            raise ConfigError(f"The table '{other.name}' was recorded on other pictures; record all tables together.")
    written: dict[str, tuple[TableResult, Sequence[Mapping[str, Any]]]] = {}
    for table in tables:
        request = _request(table, dataset, Path(table.task_file), table.methods, None, device, command)
        results = evaluate(request, progress)
        tasks, setup = results.tasks["tasks"], results.summary["setup"]
        kept = {key: setup[key] for key in ("date", "version", "seed")}
        kept |= {key: setup["machine"][key] for key in ("torch", "processor", "cores", "threads", "accelerator")}
        entry = TableResult(
            config_sha256(bundled_folder(table.model)),
            {split: images[split] for split in splits_of(table)},
            kept,
            rows(figures(tasks, table.against)),
        )
        written[table.name] = (entry, tasks)
        on_table(table, results)
    write_record(record, written, digests)
