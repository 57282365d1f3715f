"""What the classes are called, which of them are for choosing and which for the test, and which names ImageNet knows.

The rules of this module decide what a table may call *new*:

- **Outside ImageNet's labels**: no synonym of any of ImageNet's 1,000 labels equals the name, its singular or its plural. Case,
  hyphens and spaces do not count, so "cell phone" equals the synonym "cellphone".
- **Outside the vocabulary**: the same for all names that a text encoder was fitted to.
- **Leak**: a training name is near a measured name if the two are equal by the rule above, or if the cosine of their centred
  vectors is above 0.9. A figure for *unseen* names comes from a fit without these training names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tina_framework.errors import DataError
from tina_framework.interfaces.class_names import fold
from tina_framework.prompts.plurals import singulars
from tina_framework.storage.files import read_json

__all__ = ["LEAK_COSINE", "ClassText", "halves", "leaks", "read_names", "same_name_as", "spellings", "synonyms"]

LEAK_COSINE = 0.9


@dataclass(frozen=True)
class ClassText:
    """What a user would write for one class.

    Attributes:
        name: its name.
        description: one sentence that does not contain the name.
    """

    name: str
    description: str


def read_names(path: Path, folders: Sequence[str]) -> list[ClassText]:
    """Return the texts of the classes in `folders`, from a JSON file: folder -> {"name": ..., "description": ...}.

    Raises:
        DataError: a folder has no entry, or an entry lacks one of the two texts.
    """
    table = read_json(path)
    found = []
    for folder in folders:
        entry = table.get(folder) if isinstance(table, Mapping) else None
        if not isinstance(entry, Mapping) or set(entry) != {"name", "description"}:
            raise DataError(
                f"'{path}' has no name and description of the class '{folder}'; "
                f'add "{folder}": {{"name": "...", "description": "..."}}.'
            )
        found.append(ClassText(str(entry["name"]), str(entry["description"])))
    return found


def halves(count: int) -> tuple[list[int], list[int]]:
    """Return the classes for choosing (0, 2, 4, ... in sorted order) and those for the test (1, 3, 5, ...)."""
    return list(range(0, count, 2)), list(range(1, count, 2))


def synonyms(label: str) -> list[str]:
    """Return the synonyms of one of ImageNet's labels, which are separated by commas."""
    return [word.strip() for word in label.split(",") if word.strip()]


def spellings(name: str) -> set[str]:
    """Return the name and its possible singulars, each in lower case and without spaces and hyphens."""
    folded = fold(name)
    return {form.replace(" ", "") for form in (folded, *singulars(folded))}


def same_name_as(name: str, others: Iterable[set[str]]) -> bool:
    """Return whether a name equals one of the others, given as `spellings`. Both sides have singulars, so plurals count too."""
    own = spellings(name)
    return any(own & other for other in others)


def leaks(
    train_names: Sequence[str],
    train_vectors_ME: npt.NDArray[np.float32],
    names: Sequence[str],
    vectors_KE: npt.NDArray[np.float32],
) -> npt.NDArray[np.bool_]:
    """Return (M,) which training names are near a measured name. See the rule *leak* above.

    Args:
        train_names: M names or labels with synonyms.
        train_vectors_ME: their centred vectors of length 1.
        names: K measured names.
        vectors_KE: their centred vectors of length 1. Names without a vector may be left out.
    """
    measured = [spellings(name) for name in names]
    equal = [any(same_name_as(word, measured) for word in synonyms(label)) for label in train_names]
    near: npt.NDArray[np.bool_] = (train_vectors_ME @ vectors_KE.T).max(axis=1) > LEAK_COSINE
    near |= np.array(equal)
    return near
