"""``tina export``: write a classifier as a file that runs without this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.completion import registered
from tina_framework.cli.output import print_json, print_line
from tina_framework.cli.path_parameters import path_argument, path_option

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.classifier.exporting.export import ExportReport

__all__ = ["register"]

DEMO = "demo"
"""The word for the pictures that are shipped with the classifier's generator."""

_SOURCES = {
    "given": "the pictures given",
    "calibration": "the pictures it was calibrated on; give others with --pictures for a fair figure",
    "made up": "made-up pictures",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    folder: Annotated[
        Path, path_argument(metavar="DIR", help="Folder of a classifier, as written by 'tina generate'.")
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", autocompletion=registered("exporters"), help="A name of 'tina list exporters', such as onnx."
        ),
    ],
    out: Annotated[
        Path | None,
        path_option("--out", help="File or folder to write. Default: in the current folder, named after DIR."),
    ] = None,
    int8: Annotated[
        list[Path] | None,
        path_option(
            "--int8",
            metavar="PICTURES",
            help="Compute with 8-bit integers, with ranges chosen on these pictures: a file, a folder, or the word 'demo' for those "
            "shipped with the generator. May be repeated.",
        ),
    ] = None,
    pictures: Annotated[
        list[Path] | None,
        path_option(
            "--pictures",
            metavar="PICTURES",
            help="Compare the answers on these pictures. With one sub-folder for each class, the accuracy is measured too. "
            "May be repeated.",
        ),
    ] = None,
    min_agreement: Annotated[
        float,
        typer.Option(
            "--min-agreement",
            min=0.0,
            max=1.0,
            help="With --int8, the smallest share of answers that have to agree. The number of others is rounded up.",
        ),
    ] = 0.98,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a classifier as a file for devices, web pages and other programs.

    The file is loaded again and its answers are compared with the classifier's. If they differ, nothing is written.
    """
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.classifier.exporting.export import check_can_write, check_int8, exporter_named
    from tina_framework.classifier.exporting.target import default_path

    # Checked before the pictures are read, which may take long.
    exporter = exporter_named(format)
    check_int8(exporter, format, bool(int8))
    path = out or default_path(folder, exporter, format)
    check_can_write(exporter, format, path)
    model = GeneratedClassifier.from_pretrained(folder)
    calibration = _listed(int8, model) if int8 else None
    compared = _listed(pictures, model) if pictures else calibration
    report = model.export(
        path,
        format,
        int8=None if calibration is None else calibration.files,
        pictures=None if compared is None or compared is calibration else compared.files,
        labels=None if compared is None else compared.labels,
        min_agreement=min_agreement,
    )
    if json_:
        print_json({"classifier": str(folder), **report.to_json()})
    else:
        _print(report, model)


@dataclass(frozen=True)
class _Listed:
    """Picture files, and their classes if all are known."""

    files: list[Path]
    labels: list[str] | None


def _listed(paths: Sequence[Path], model: GeneratedClassifier) -> _Listed:
    """List pictures.

    Raises:
        DataError: there are none, or a folder holds the splits of a data set.
    """
    from tina_framework.cli.demo_pictures import demo_pictures
    from tina_framework.cli.picture_arguments import given_pictures
    from tina_framework.errors import DataError

    if list(paths) == [Path(DEMO)] and not Path(DEMO).exists():
        generator = str(model.provenance.get("generator", ""))
        shown = demo_pictures(generator, model.class_names)
        if not shown:
            raise DataError(
                "No pictures of these classes are shipped with the generator; give some of your own instead of 'demo'."
            )
        return _Listed([picture.path for picture in shown], [picture.truth for picture in shown])
    given = given_pictures(paths, model.class_names)
    if given.errors:
        raise DataError(given.errors[0])
    known = [picture for picture in given.pictures if picture.truth is not None]
    if len(known) == len(given.pictures):
        return _Listed([picture.path for picture in known], [str(picture.truth) for picture in known])
    return _Listed([picture.path for picture in given.pictures], None)


def _print(report: ExportReport, model: GeneratedClassifier) -> None:
    compared = report.comparison
    _, height, width = model.preprocessing.input_shape
    facts = ", ".join(f"{name.replace('_', ' ')} {_fact(value)}" for name, value in report.facts.items())
    rows = [
        ("written to", f"{report.path} ({_bytes(report.size)})"),
        ("arithmetic", "8-bit integers" if report.int8 else "floating point"),
        ("input", f"pictures (N, {height}, {width}, 3) uint8, RGB, cropped and scaled"),
        ("compared on", f"{compared.pictures} pictures: {_SOURCES[compared.source]}"),
        ("answers", f"{_share(compared.agreement)} agree; logits differ by at most {compared.largest_difference:.2g}"),
    ]
    if compared.accuracy is not None:
        before, after = compared.accuracy.classifier, compared.accuracy.exported
        rows.append(
            (
                "accuracy",
                f"{100 * before:.1f} % before, {100 * after:.1f} % after ({100 * (after - before):+.1f} points)",
            )
        )
    if facts:
        rows.append(("facts", facts))
    for label, value in rows:
        print_line(f"{label + ':':<13}{value}")


def _share(share: float) -> str:
    import math

    return f"{math.floor(1000 * share) / 10:g} %"


def _fact(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
