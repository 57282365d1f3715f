"""Export a classifier: write it in a format, load it again, compare the answers, and only then put it in its place."""

from __future__ import annotations

import importlib.util
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tina_framework.classifier.exporting.comparison import Comparison, compare, made_up_pictures, predicted
from tina_framework.classifier.exporting.source import export_source
from tina_framework.classifier.exporting.target import check_target, place
from tina_framework.classifier.fine_tuning.labels import label_indices
from tina_framework.errors import ConfigError, DataError, DependencyError, ExportError, TinaError, reason_of, shorten
from tina_framework.interfaces.exporter import Exporter, ExportSource, Pixels, Predict
from tina_framework.interfaces.whole_numbers import plain_number
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.missing_dependency import advice
from tina_framework.storage.paths import real_path
from tina_framework.storage.temporary import sweep, temporary_folder

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier

__all__ = [
    "MIN_AGREEMENT",
    "ONE_AT_A_TIME",
    "ExportReport",
    "check_can_write",
    "check_int8",
    "export_classifier",
    "exporter_named",
    "missing_module",
    "sentences",
]

ONE_AT_A_TIME = threading.Lock()
"""PyTorch traces one network at a time in a process, and fails if two threads try. Warnings and loggers are shared, too."""

MIN_AGREEMENT = 0.98
"""Smallest share of equal answers of a file with 8-bit integers, unless the caller allows less."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how it compares with the classifier.

    Attributes:
        format: the exporter's name.
        path: the file or folder.
        size: in bytes; of a folder, of all its files.
        int8: whether it computes with 8-bit integers.
        comparison: its answers beside those of the classifier.
        facts: what the exporter reports, such as the opset.
    """

    format: str
    path: Path
    size: int
    int8: bool
    comparison: Comparison
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "format": self.format,
            "path": str(self.path),
            "bytes": self.size,
            "int8": self.int8,
            "comparison": self.comparison.to_json(),
            "facts": dict(self.facts),
        }


def export_classifier(
    classifier: GeneratedClassifier,
    path: Path,
    format: str,
    *,
    int8: Any = None,
    pictures: Any = None,
    labels: Any = None,
    min_agreement: float = MIN_AGREEMENT,
) -> ExportReport:
    """Export a classifier; see `GeneratedClassifier.export`.

    Raises:
        ConfigError, DataError, DependencyError, ExportError: as there.
    """
    exporter = exporter_named(format)
    check_int8(exporter, format, int8 is not None)
    min_agreement = _share("min_agreement", min_agreement)
    check_can_write(exporter, format, path)
    calibration = None if int8 is None else _pixels(classifier, int8, "int8")
    pixels, source = _compared(classifier, pictures, calibration)
    truth = None if labels is None else label_indices(labels, classifier.class_names, len(pixels))
    with ONE_AT_A_TIME, sentences(format):
        exported = export_source(classifier, calibration)
        ours = predicted(_answers(classifier, exported), pixels)
    if not np.isfinite(ours).all():
        raise ExportError(
            f"Logits of this classifier are not finite on {source} pictures, so nothing was written; its weights are too large."
        )
    with _writing(path) as (folder, target), ONE_AT_A_TIME, sentences(format):
        made = folder / (path.name if path.name not in ("", "..") else target.name)
        facts = exporter.write(exported, made)
        theirs = predicted(exporter.load(made), pixels)
        comparison = compare(
            ours, theirs, int8=calibration is not None, source=source, min_agreement=min_agreement, labels=truth
        )
        report = ExportReport(format, path, _size(made), calibration is not None, comparison, dict(facts))
        place(made, target, exporter, format)
    return report


def _share(name: str, value: Any) -> float:
    number = plain_number(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ConfigError(f"{name} is {shorten(value)}; it must be a number from 0 to 1.")
    return float(number)


def _answers(classifier: GeneratedClassifier, exported: ExportSource) -> Predict:
    """Return the prediction to compare with: the classifier's own, or in half precision that of its weights in float32."""
    if classifier.dtype in (torch.float16, torch.bfloat16):
        # Files compute in float32. The rounding of bfloat16 changes logits by more than is allowed.
        return lambda batch: exported.network(torch.from_numpy(batch)).detach().numpy()
    return lambda batch: classifier.logits(batch).numpy()


def exporter_named(format: str) -> Exporter:
    """Return the exporter of a format.

    Raises:
        UnknownNameError: there is none of that name. The message lists the formats.
        PluginError: it does not keep its contract.
    """
    if not isinstance(format, str):
        raise ConfigError(f"format is {shorten(format)}; it must be the name of an exporter, such as 'onnx'.")
    exporter: Exporter = registries().exporters.create(format)
    return exporter


def check_int8(exporter: Exporter, format: str, asked: bool) -> None:
    """Check that the format can be written with, or without, 8-bit integers.

    Raises:
        ConfigError: it cannot.
    """
    if asked and exporter.int8 == "never":
        raise ConfigError(f"Format '{format}' holds no 8-bit integers; leave out --int8 (int8= in Python).")
    if not asked and exporter.int8 == "always":
        raise ConfigError(
            f"Format '{format}' computes with 8-bit integers, whose ranges are chosen on pictures; give some with --int8 PICTURES "
            "(int8= in Python). About ten pictures of each class are enough. To try it without any: --int8 demo."
        )


def missing_module(exporter: Exporter) -> str | None:
    """Return a module that the exporter needs and that is not installed, or None."""
    return next((module for module in exporter.modules if importlib.util.find_spec(module) is None), None)


def check_can_write(exporter: Exporter, format: str, path: Path) -> None:
    """Check that `path` may be written, and that the packages of the format are installed. Call this before long work.

    Raises:
        ConfigError: `path` has another suffix, or holds something that may not be replaced.
        DependencyError: a package is missing.
    """
    check_target(path, exporter, format)
    module = missing_module(exporter)
    if module is not None:
        raise _missing(module, format)


def _missing(module: str, format: str) -> DependencyError:
    distribution = registries().exporters.entry(format.partition(":")[0]).distribution
    return DependencyError(
        f"Format '{format}' needs the module '{module}', which is not installed; {advice(module, distribution)}."
    )


def _pixels(classifier: GeneratedClassifier, images: Any, what: str) -> Pixels:
    pixels = classifier.preprocessing.pixels(images)
    if not len(pixels):
        raise DataError(f"No pictures were given for {what}; give at least one.")
    return pixels


def _compared(classifier: GeneratedClassifier, pictures: Any, calibration: Pixels | None) -> tuple[Pixels, str]:
    """Return the pictures on which answers are compared, and where they come from."""
    if pictures is not None:
        return _pixels(classifier, pictures, "the comparison"), "given"
    if calibration is not None:
        return calibration, "calibration"
    return made_up_pictures(classifier.preprocessing.input_shape[1:]), "made up"


@contextmanager
def _writing(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield an empty folder, which is removed at the end, and the place beside it that `path` stands for.

    Raises:
        ConfigError: the disk is full, or the place cannot be written.
    """
    try:
        target = real_path(path)  # a link stays a link, and may lead to another disk
        with _parents(target):
            sweep(target)
            with temporary_folder(target) as folder:
                yield folder, target
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ConfigError(f"'{path}' cannot be written ({reason}); choose another place or free some space.") from error


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the folders that lead to `path`. If the body fails, those that are new and empty are removed."""
    new = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):  # another program has put something there
                folder.rmdir()
        raise


@contextmanager
def sentences(format: str) -> Iterator[None]:
    """Turn what libraries raise into one sentence, and keep their warnings from the user."""
    # Exporters of PyTorch log and warn at length about what does not concern the user.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch.fx", "root")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ModuleNotFoundError as error:
        raise _missing(error.name or str(error), format) from error
    except ImportError as error:
        raise DependencyError(
            f"Format '{format}' needs a package that is installed but cannot be imported ({reason_of(error, 300)}); install it again."
        ) from error
    except (TinaError, OSError, MemoryError):
        raise
    except Exception as error:  # each library has errors of its own
        # Python 3.11 turns what ends the creation of a class, also Ctrl-C, into a RuntimeError.
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise ExportError(
            f"Format '{format}' cannot hold this network: {reason_of(error, 300)}. Nothing was written; try another format "
            "(`tina list exporters`)."
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
