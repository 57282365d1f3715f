"""Is this the data set that was recorded?"""

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
    """The splits whose pictures the table's figures depend on."""
    trains = any(method.startswith("fine-tune") for method in table.methods.split(","))
    return [table.image_split] + ([TRAINING] if trains and table.image_split != TRAINING else [])


@dataclass(frozen=True)
class PictureCheck:
    """The answer.

    Attributes:
        dataset: what to measure on: the one given, or its recorded pictures alone.
        matches: split -> how its pictures relate to the recorded ones.
        sentences: for people, one a split.
    """

    dataset: Dataset
    matches: dict[str, Match]
    sentences: list[str]


def check_pictures(dataset: Dataset, record: Record, tables: Sequence[Table]) -> PictureCheck:
    """Looks at the splits that the tables need, and narrows one to the recorded pictures where it has more.

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
            f"'{dataset.name}' is not {record.data}: it lacks {len(lacking)} of {len(wanted)} classes of the recorded tasks ({shown}). "
            "Give the data set that was recorded; docs/reference/reproduce.md says which."
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
        sentence += (
            " So figures may differ by more than rounding: 95 % intervals are compared, and single tasks will differ."
        )
    return dataset, match, sentence


def _counts(found: Fingerprint) -> str:
    low, high = found.per_class
    return f"{found.images}, {low if low == high else f'{low} to {high}'} a class"
