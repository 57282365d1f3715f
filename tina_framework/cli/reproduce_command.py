"""``tina reproduce``: measure recorded tables again and compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.completion import DEVICES, registered, tables
from tina_framework.cli.path_parameters import path_option
from tina_framework.errors import ConfigError

if TYPE_CHECKING:
    from tina_framework.evaluation.reproduce.remeasure import Outcome, Row
    from tina_framework.evaluation.statistics import Summary
    from tina_framework.interfaces.dataset import Dataset

__all__ = ["register"]

_COLUMNS = ("method", "recorded", "measured", "verdict")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce")(reproduce)


def reproduce(
    name: Annotated[str, typer.Argument(autocompletion=tables, help="What to reproduce: cifar100.")],
    data: Annotated[
        str,
        typer.Option(
            "--data", autocompletion=registered("datasets"), help="Data set: FILE.npz, or a spec such as cifar100."
        ),
    ],
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            autocompletion=registered("encoders"),
            help="Use another encoder. Default: the recorded one, which is bundled.",
        ),
    ] = None,
    out: Annotated[
        Path | None, path_option("--out", help="Folder for the measured results. Default: do not keep them.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Measure and compare only a few tasks of each table.")] = False,
    table: Annotated[list[str] | None, typer.Option("--table", help="Measure only this table. Repeatable.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="For maintainers, in a checkout: replace the recorded figures.")
    ] = False,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="cpu, cuda, mps or auto.")] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON instead of tables.")] = False,
) -> None:
    """Measure the published tables again with the bundled checkpoint, and compare them with the recorded figures.

    The exit code is 0 if all figures hold, else 1. See docs/how-to/reproduce.md for what is compared and how.
    """
    from tina_framework.cli.output import print_error, print_json, print_line, print_table, progress_bar
    from tina_framework.errors import ConfigError
    from tina_framework.evaluation.reproduce.picture_check import check_pictures
    from tina_framework.evaluation.reproduce.records import open_record, select_tables
    from tina_framework.evaluation.reproduce.remeasure import record_tables, remeasure, runnable
    from tina_framework.evaluation.results import check_output, write_results

    if record and (quick or encoder is not None or out is not None or json_):
        raise ConfigError(
            "--record measures whole tables with the recorded encoder; leave out --quick, --encoder, --out and --json."
        )
    known = open_record(name)
    tables, reasons = runnable(select_tables(known, table or ()), recording=record, quick=quick)
    for line in reasons:
        print_error(line)
    if not tables:
        raise ConfigError(f"No table of '{name}' can be run; the lines above say why.")
    if out is not None:
        for each in tables:
            check_output(out / each.name)
    dataset = _dataset(data)
    command = f"tina reproduce {name}" + (" --quick" if quick else "") + (" --record" if record else "")
    if record:
        record_tables(
            known,
            tables,
            dataset,
            device=device,
            command=command,
            progress=progress_bar,
            on_table=lambda done, results: print_line(f"Measured: {done.name}."),
        )
        print_line(f"Written to {known.folder}.")
        return
    check = check_pictures(dataset, known, tables)
    for line in check.sentences:
        print_error(line)
    outcomes = []
    for each in tables:
        outcome = remeasure(
            known, each, check, encoder=encoder, quick=quick, device=device, command=command, progress=progress_bar
        )
        outcomes.append(outcome)
        if out is not None:
            write_results(out / each.name, outcome.results)
        if not json_:
            count = len(outcome.results.tasks["tasks"])
            print_table(
                _lines(outcome.rows),
                _COLUMNS,
                title=f"{each.title}, {count} tasks, {each.image_split} images",
            )
            print_line()
        for line in outcome.notes:
            print_error(line)
    summary = _summary(name, check.sentences, outcomes)
    if out is not None:
        _write_summary(out, summary)
    if json_:
        print_json(summary)
    else:
        bases = " or ".join(dict.fromkeys(each.against for each in tables))
        print_line(f"Accuracy in %, and the paired difference from {bases} in points.")
        print_line(_verdict(outcomes))
    if not summary["holds"]:
        raise typer.Exit(1)


def _write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    from tina_framework.storage.files import write_json

    try:
        write_json(out / "reproduce.json", summary)
    except OSError as error:
        raise ConfigError(
            f"The results cannot be written to '{out}' ({error.strerror or error}); choose another place."
        ) from error


def _dataset(data: str) -> Dataset:
    """Open a data set from the path of an .npz file, or from a spec as ``--dataset`` takes it."""
    from tina_framework.cli.data_argument import data_spec
    from tina_framework.plugin.discovery import registries

    dataset: Dataset = registries().datasets.create(data_spec(data))
    return dataset


def _lines(rows: list[Row]) -> list[dict[str, Any]]:
    counts = {row.key[:2] for row in rows}
    return [
        {
            "method": row.key[2] + (f", {row.key[1]} classes" if len(counts) > 1 else ""),
            "recorded": _figure(row.recorded.accuracy, row.recorded.difference),
            "measured": _figure(row.measured.accuracy, row.measured.difference) if row.measured else None,
            "verdict": row.verdict.text,
        }
        for row in rows
    ]


def _figure(accuracy: Summary, difference: Summary | None) -> str:
    return f"{100 * accuracy.mean:.2f}" + (f" {100 * difference.mean:+.2f}" if difference else "")


def _summary(name: str, pictures: list[str], outcomes: list[Outcome]) -> dict[str, Any]:
    tables = [
        {
            "table": outcome.table.name,
            "holds": outcome.holds,
            "notes": outcome.notes,
            "rows": [row.to_json() for row in outcome.rows],
            "setup": outcome.results.summary["setup"],
        }
        for outcome in outcomes
    ]
    return {"name": name, "holds": all(o.holds for o in outcomes), "pictures": pictures, "tables": tables}


def _verdict(outcomes: list[Outcome]) -> str:
    rows = [row for outcome in outcomes for row in outcome.rows]
    held = sum(row.verdict.holds for row in rows)
    if held == len(rows):
        return f"All {len(rows)} figures hold."
    return f"{len(rows) - held} of {len(rows)} figures do not hold."
