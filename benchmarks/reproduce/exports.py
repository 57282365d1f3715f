"""Measure the export formats: size, agreement with the classifier, accuracy lost in 8 bits, and milliseconds a picture.

    python -m benchmarks.reproduce.exports measure FOLDER --calibration PICTURES --pictures PICTURES --format onnx --into work/exports
    python -m benchmarks.reproduce.exports table work/exports [--into docs/reference/exports.md]

`measure` exports one classifier, in floating point and with 8-bit integers where the format holds them, and writes a row for each. Both
picture folders have one sub-folder for each class; no picture may be in both. A format whose packages need an environment of their
own (`tflite`) is measured there; `table` joins the rows. Times are medians of one picture at a time on one thread, with the program that
the format is for, on a warm file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.script import command_line, run
from tina_framework import GeneratedClassifier
from tina_framework.classifier.exporting.comparison import predicted
from tina_framework.classifier.exporting.export import exporter_named
from tina_framework.classifier.exporting.source import export_source
from tina_framework.errors import ConfigError

__all__ = ["main", "measure", "table"]

MLPERF_TINY = (
    ("image classification, CIFAR-10, 32x32", "ResNet-8", 96),
    ("visual wake words, 96x96", "MobileNetV1 0.25", 325),
    ("keyword spotting, sound", "DS-CNN", 53),
    ("anomaly detection, sound", "autoencoder of linear layers", 270),
)
"""Task, network, and kB of the reference model with 8-bit integers, as L. Gwennap (Linley Newsletter, 3 August 2021) gives them."""

_MARK = "exports"
_WARM_UP = 5
_PACKAGES = ("torch", "onnxruntime", "executorch", "ai-edge-litert")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    making = actions.add_parser("measure", help="export one classifier and write rows")
    making.add_argument("folder", type=Path, help="the classifier")
    making.add_argument(
        "--calibration", type=Path, required=True, help="pictures that choose the ranges, a folder for each class"
    )
    making.add_argument(
        "--pictures", type=Path, required=True, help="other pictures to compare on, a folder for each class"
    )
    making.add_argument("--format", action="append", required=True, help="an export format; may be repeated")
    making.add_argument("--name", help="what to call the classifier in the table (default: its folder's name)")
    making.add_argument("--into", type=Path, required=True, help="the folder of the rows")
    joining = actions.add_parser("table", help="print the rows as Markdown")
    joining.add_argument("rows", type=Path)
    joining.add_argument("--into", type=Path, help=f"a page whose place <!-- {_MARK} --> is filled")
    args = parser.parse_args(words)
    if args.action == "measure":
        command = command_line("reproduce.exports", words)
        for row in measure(args.folder, args.calibration, args.pictures, args.format, args.name or args.folder.name):
            args.into.mkdir(parents=True, exist_ok=True)
            kind = "int8" if row["int8"] else "float"
            file = args.into / f"{row['classifier']}-{row['format']}-{kind}.json"
            file.write_text(json.dumps({**row, "command": command}, indent=2) + "\n", encoding="utf-8")
            print(json.dumps(row))
        return
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(args.rows.glob("*.json"))]
    if not rows:
        raise ConfigError(f"'{args.rows}' holds no rows; make some with 'measure'.")
    lines = table(rows)
    if args.into is None:
        print("\n".join(lines))
        return
    text = args.into.read_text(encoding="utf-8")
    before, mark, rest = text.partition(f"<!-- {_MARK} -->\n")
    _, end, after = rest.partition(f"<!-- /{_MARK} -->")
    if not mark or not end:
        raise ConfigError(f"'{args.into}' has no place <!-- {_MARK} --> ... <!-- /{_MARK} -->.")
    args.into.write_text(before + mark + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


def measure(folder: Path, calibration: Path, pictures: Path, formats: list[str], name: str) -> list[dict[str, Any]]:
    """Export a classifier in each format, and return a row for each file.

    Args:
        folder: the classifier.
        calibration: pictures that choose the ranges of 8-bit integers, in a folder for each class.
        pictures: pictures on which answers are compared, in folders of the same kind.
        formats: names of export formats.
        name: what to call the classifier.
    """
    classifier = GeneratedClassifier.from_pretrained(folder)
    chosen, _ = _pictures(classifier, calibration)
    shown, truth = _pictures(classifier, pictures)
    ours = predicted(lambda batch: classifier.logits(batch).numpy(), shown)
    rows = []
    for format in formats:
        exporter = exporter_named(format)
        for int8 in (False, True):
            if int8 != (exporter.int8 == "always") and exporter.int8 != "optional":
                continue
            with tempfile.TemporaryDirectory() as place:
                path = Path(place, f"classifier{exporter.suffix}")
                start = time.perf_counter()
                exporter.write(export_source(classifier, chosen if int8 else None), path)
                seconds = time.perf_counter() - start
                files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
                predict = exporter.load(path)
                theirs = predicted(predict, shown)
                times = []
                for picture in [*shown[:_WARM_UP], *shown]:
                    start = time.perf_counter()
                    predict(picture[None])
                    times.append(time.perf_counter() - start)
                size = sum(file.stat().st_size for file in files)
            rows.append(
                {
                    "classifier": name,
                    "architecture": classifier.architecture,
                    "format": format,
                    "int8": int8,
                    "bytes": size,
                    "pictures": len(shown),
                    "calibration": len(chosen) if int8 else None,
                    "agreement": float((ours.argmax(1) == theirs.argmax(1)).mean()),
                    "largest_difference": float(np.abs(ours - theirs).max()),
                    "accuracy": float((ours.argmax(1) == truth).mean()),
                    "exported_accuracy": float((theirs.argmax(1) == truth).mean()),
                    "milliseconds": 1e3 * statistics.median(times[_WARM_UP:]),
                    "export_seconds": seconds,
                    "machine": {
                        "cores": os.cpu_count(),
                        "processor": platform.machine(),
                        "load": os.getloadavg()[0],
                        "date": datetime.now(UTC).date().isoformat(),
                        "packages": {package: _version(package) for package in _PACKAGES},
                    },
                }
            )
    return rows


def _pictures(classifier: GeneratedClassifier, folder: Path) -> tuple[Any, Any]:
    """Return pictures (N, H, W, 3) and the numbers of their classes (N,).

    Raises:
        ConfigError: a class has no folder, or an empty one.
    """
    files: list[Path] = []
    truth: list[int] = []
    for number, name in enumerate(classifier.class_names):
        found = sorted((folder / name).glob("*"))
        if not found:
            raise ConfigError(f"'{folder}' holds no pictures of '{name}'; put some into a folder of that name.")
        files += found
        truth += [number] * len(found)
    return classifier.preprocessing.pixels(files), np.array(truth)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the rows as a Markdown table, with the reference networks of MLPerf Tiny below."""
    lines = [
        "| classifier | format | arithmetic | kB | answers that agree | accuracy | after export | ms a picture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (row["classifier"], row["format"], row["int8"])):
        kind = "8-bit integers" if row["int8"] else "floating point"
        lines.append(
            f"| {row['classifier']} | `{row['format']}` | {kind} | {row['bytes'] / 1e3:,.0f} | {100 * row['agreement']:.1f} % of "
            f"{row['pictures']} | {100 * row['accuracy']:.1f} % | {100 * row['exported_accuracy']:.1f} % | {row['milliseconds']:.2f} |"
        )
    for task, network, size in MLPERF_TINY:
        lines.append(f"| MLPerf Tiny: {task} | {network} | 8-bit integers | {size} | | | | |")
    return lines


if __name__ == "__main__":
    run(main)
