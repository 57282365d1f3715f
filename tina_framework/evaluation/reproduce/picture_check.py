"""Checking whether the images at hand are the recorded ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tina_framework.errors import DataError
from tina_framework.evaluation.reproduce.fingerprints import (
    Fingerprint,
    Match,
    PickedPictures,
    compare,
    find,
    fingerprint,
    picture_digests,
)
from tina_framework.evaluation.reproduce.records import Record, Table

if TYPE_CHECKING:
    from tina_framework.interfaces.dataset import Dataset

__all__ = ["PictureCheck", "check_pictures", "splits_of"]

TRAINING = "train"


def splits_of(table: Table) -> list[str]:
    """Return the splits whose images the table's figures depend on."""
    trains = any(method.startswith("fine-tune") for method in table.methods.split(","))
    return [table.image_split] + ([TRAINING] if trains and table.image_split != TRAINING else [])


@dataclass(frozen=True)
class PictureCheck:
    """The result of the check.

    Attributes:
        dataset: the data set to measure on: the given one, or only its recorded images.
        matches: split -> how its images relate to the recorded ones.
        sentences: one sentence for each split, for users.
    """

    dataset: Dataset
    matches: dict[str, Match]
    sentences: list[str]


def check_pictures(dataset: Dataset, record: Record, tables: Sequence[Table]) -> PictureCheck:
    """Check the splits that the tables need. A split that has more images than the recorded one is reduced to these.

    Raises:
        DataError: the data set lacks a class of a recorded task, or cannot be read.
    """
    matches: dict[str, Match] = {}
    sentences = []
    for table in tables:
        _check_classes(dataset, record, table)
        for split in splits_of(table) if table.recorded else ():
            if split in matches or table.recorded is None or split not in table.recorded.images:
                continue
            dataset, matches[split], sentence = _check_split(dataset, record, split, table.recorded.images[split])
            sentences.append(sentence)
    return PictureCheck(dataset, matches, sentences)


def _check_classes(dataset: Dataset, record: Record, table: Table) -> None:
    wanted = {name for task in record.tasks(table) for name in task["classes"]}
    lacking = sorted(wanted - set(dataset.class_names))
    if lacking:
        shown = ", ".join(map(repr, lacking[:3]))
        raise DataError(
            f"'{dataset.name}' is not {record.data}: "
            f"it lacks {len(lacking)} of {len(wanted)} classes of the recorded tasks ({shown}). "
            "Give the recorded data set; docs/how-to/reproduce.md names it."
        )


def _check_split(dataset: Dataset, record: Record, split: str, recorded: Fingerprint) -> tuple[Dataset, Match, str]:
    data = dataset.load(split)
    digests = picture_digests(data, dataset.class_names)
    found = fingerprint(data, digests)
    match = compare(found, recorded)
    if match is Match.other and found.images > recorded.images:
        rows = find(digests, record.digests(split), recorded)
        if rows is not None:
            dataset, match = PickedPictures(dataset, split, rows), Match.found
    sentence = f"{split.capitalize()} images: {match.value} (here {_counts(found)}, recorded {_counts(recorded)})."
    if match is Match.other:
        sentence += " Figures may therefore differ by more than rounding, so 95 % intervals are compared."
    return dataset, match, sentence


def _counts(found: Fingerprint) -> str:
    low, high = found.per_class
    return f"{found.images}, {low if low == high else f'{low} to {high}'} a class"
