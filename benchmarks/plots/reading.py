"""Find, read and check the files that pictures are drawn from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError, DataError
from tina_framework.storage.files import read_json

__all__ = ["Point", "Results", "find_results", "one_model", "read_abstaining", "read_log", "read_usefulness"]

_FORMAT = "tina-evaluation"


@dataclass(frozen=True)
class Point:
    """A mean with its 95 % interval, as fractions of 1. Without an interval, `low` and `high` equal the mean."""

    x: float
    mean: float
    low: float
    high: float
    label: str = ""


@dataclass(frozen=True)
class Results:
    """One folder that ``tina evaluate`` wrote.

    Attributes:
        folder: the folder.
        summary: the content of ``results.json``.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def setup(self) -> dict[str, Any]:
        """Model, data, date and more."""
        return dict(self.summary["setup"])

    def tasks(self) -> list[dict[str, Any]]:
        """Return the entries of ``tasks.json``.

        Raises:
            DataError: the file holds no tasks.
        """
        value = _json(self.folder / "tasks.json")
        if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
            raise DataError(f"'{self.folder / 'tasks.json'}' holds no tasks; run the evaluation again.")
        return list(value["tasks"])


def find_results(root: Path) -> list[Results]:
    """Return every ``*/results.json`` below `root`, sorted by name; files of other programs are ignored.

    Raises:
        DataError: a file is damaged.
    """
    found = []
    for path in sorted(root.glob("*/results.json")):
        value = _json(path)
        if isinstance(value, dict) and value.get("format") == _FORMAT:
            found.append(Results(path.parent, value))
    return found


def one_model(
    results: Sequence[Results], model: str, image_split: str, encoder: str | None
) -> tuple[list[Results], list[Results]]:
    """Divide results into those of one picture and the rest: other models, weights, images or encoders.

    Args:
        results: all results.
        model: name of a generator. Of several with that name, the one measured last counts.
        image_split: ``test`` or ``validation``.
        encoder: the name of an encoder without its argument; None: the encoder of most results.
    """
    own = [r for r in results if r.setup["model"]["name"] == model and r.setup["image_split"] == image_split]
    if not own:
        return [], list(results)
    latest = max(own, key=lambda r: str(r.setup["date"])).setup["model"]["config_sha256"]
    own = [r for r in own if r.setup["model"]["config_sha256"] == latest]
    names = [_encoder(r) for r in own]
    wanted = encoder or max(sorted(set(names)), key=names.count)
    kept = [r for r in own if _encoder(r) == wanted]
    return kept, [r for r in results if r not in kept]


def _encoder(results: Results) -> str:
    return str(results.setup["encoder"]["name"]).partition(":")[0]


def read_log(path: Path) -> list[dict[str, float]]:
    """Read the validations of a training run in the order of steps.

    Each has ``step``, ``seconds`` of training until then, ``difference`` from selection and ``standard_error``
    (fractions of 1). A resumed run may have validated a step twice; the last time counts.

    Raises:
        DataError: the file is missing, is no log of training, or has no validation.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        seconds, found = 0.0, {}
        for row in rows:
            if row["kind"] == "train":
                seconds = float(row["seconds"])
            elif row["kind"] == "validation":
                kept = {key: float(row[key]) for key in ("step", "difference", "standard_error")}
                found[kept["step"]] = kept | {"seconds": 0.0 if kept["step"] == 0 else seconds}
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is no log of training ({error}); give the log.jsonl of a run's folder.") from error
    if not found:
        raise DataError(f"'{path}' has no validation yet; wait for the first one, or give another log.")
    return [found[step] for step in sorted(found)]


def read_usefulness(path: Path) -> dict[str, list[Point]]:
    """Read the accuracy after fine-tuning on a few pictures, from several starts.

    The file is ``{"starts": {"tina": [{"shots": 1, "mean": 0.61, "ci95": [0.60, 0.62]}, ...], "generic": [...]}}``:
    pictures a class, accuracy as a fraction of 1, and its interval or null. Other keys are ignored.

    Raises:
        DataError: it is something else.
    """
    value = _json(path)
    try:
        starts = {str(name): [_shots(entry) for entry in entries] for name, entries in value["starts"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"'{path}' holds no curves of usefulness ({error!r}); expected "
            '{"starts": {"tina": [{"shots": 1, "mean": 0.6, "ci95": [0.5, 0.7]}]}}.'
        ) from error
    if not any(starts.values()):
        raise DataError(f"'{path}' holds no curve; its 'starts' are empty.")
    return starts


def _shots(entry: Mapping[str, Any]) -> Point:
    mean = float(entry["mean"])
    low, high = entry.get("ci95") or (mean, mean)
    return Point(float(entry["shots"]), mean, float(low), float(high))


def read_abstaining(path: Path) -> tuple[dict[str, list[Point]], dict[str, Point]]:
    """Read the share of foreign pictures refused against the share of the accuracy kept.

    ``python -m benchmarks.choose.abstain --test`` writes the file:
    ``{"curves": {"3": [{"kept": 0.9, "mean": 0.5, "ci95": null}]}, "rows": {"3": {"kept": 0.9, "refused": {"mean": 0.5,
    "ci95": null}}}}``. Other keys are ignored.

    Returns:
        A curve for each class count, and the point of the generator's own threshold.

    Raises:
        DataError: it is something else.
    """
    value = _json(path)
    try:
        curves = {
            f"{count} classes": [_refused(entry["kept"], entry) for entry in entries]
            for count, entries in value["curves"].items()
        }
        marks = {f"{count} classes": _refused(row["kept"], row["refused"]) for count, row in value["rows"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"'{path}' holds no curves of abstaining ({error!r}); give a file of `benchmarks.choose.abstain --test`."
        ) from error
    if not any(curves.values()):
        raise DataError(f"'{path}' holds no curve of abstaining; its 'curves' are empty.")
    return curves, marks


def _refused(kept: Any, statistics: Mapping[str, Any]) -> Point:
    mean = float(statistics["mean"])
    low, high = statistics["ci95"] or (mean, mean)
    return Point(float(kept), mean, float(low), float(high))


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except CheckpointError as error:
        raise DataError(str(error)) from error
