"""Write a classifier as one file that a browser can save: its folder as a zip, or any format of an exporter."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.exporting.export import ExportReport, check_can_write, exporter_named
from tina_framework.errors import DataError, TinaError
from tina_framework.plugin.discovery import registries

__all__ = ["FOLDER", "Download", "DownloadFormat", "download_formats", "write_download"]

FOLDER = "folder"
"""The name of the format that is no exporter: what `save_pretrained` writes."""

_LONGEST_STEM = 40


@dataclass(frozen=True)
class DownloadFormat:
    """A format of a download.

    Attributes:
        name: `FOLDER` or the name of an exporter.
        label: what the page shows.
        int8: whether it holds 8-bit integers: one of `tina_framework.interfaces.exporter.INT8`.
        problem: why it cannot be written here; empty: it can.
    """

    name: str
    label: str
    int8: str = "never"
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Download:
    """A file that was written.

    Attributes:
        path: the file, in a folder of its own.
        name: under which a browser should save it.
        note: one sentence about it, in ASCII; may be empty.
    """

    path: Path
    name: str
    note: str = ""


def download_formats() -> list[DownloadFormat]:
    """Return all formats. Those that cannot be written here say why."""
    exporters = [_exporter_format(row["name"]) for row in registries().exporters.describe()]
    return [DownloadFormat(FOLDER, "Folder for Python and the command line (.zip)"), *exporters]


def _exporter_format(name: str) -> DownloadFormat:
    try:
        exporter = exporter_named(name)
        check_can_write(exporter, name, Path(f"unwritten{exporter.suffix}"))
    except TinaError as error:
        return DownloadFormat(name, name, problem=str(error))
    return DownloadFormat(name, f"{name} ({exporter.suffix or 'a folder, as .zip'})", exporter.int8)


def write_download(
    classifier: GeneratedClassifier,
    name: str,
    folder: Path,
    *,
    int8: bool = False,
    pictures: Sequence[npt.NDArray[np.uint8]] = (),
) -> Download:
    """Write a classifier in a format, as one file.

    Args:
        classifier: what to write.
        name: of the format.
        folder: where to write. The file gets a folder of its own in it, which the caller removes.
        int8: write 8-bit integers.
        pictures: pictures (1, H, W, 3) of the size of the network. Answers are compared on them, and they choose the ranges of
            8-bit integers.

    Raises:
        TinaError: the format is unknown, cannot hold this network, lacks a package, or needs pictures.
    """
    stem = _stem(classifier.class_names)
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        if name == FOLDER:
            classifier.save_pretrained(place / stem)
            path = _zipped(place / stem)
            return Download(path, path.name)
        exporter = exporter_named(name)
        if int8 and not pictures:
            raise DataError(
                "The ranges of 8-bit integers are chosen on photographs; add some above first, about ten of each class."
            )
        shown = np.concatenate(pictures) if pictures else None
        made = place / (f"{stem}{exporter.suffix}" if exporter.suffix else f"{stem}-{name}")
        report = classifier.export(made, name, int8=shown if int8 else None, pictures=shown)
        path = made if made.is_file() else _zipped(made)
        return Download(path, path.name, _note(report))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _note(report: ExportReport) -> str:
    compared = report.comparison
    source = "made-up pictures" if compared.source == "made up" else "pictures"
    return f"{100 * compared.agreement:.4g} % of its answers on {compared.pictures} {source} equal the classifier's."


def _zipped(made: Path) -> Path:
    """Return a zip file beside a folder that holds the folder."""
    path = made.with_name(f"{made.name}.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(made.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(made.parent))
    return path


def _stem(class_names: Sequence[str]) -> str:
    """Return a file name without a suffix, such as ``apple-bear-bus``. Only letters and digits of ASCII are kept."""
    words = re.sub(r"[^a-z0-9]+", "-", "-".join(class_names).lower()).strip("-")
    return words[:_LONGEST_STEM].rstrip("-") or "classifier"
