"""Read a table of names and vectors, and split it so that a name and its synonyms stay together.

Shapes: M rows, T templates, E width of the vectors.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import ConfigError, DataError
from tina_framework.storage.text import read_text

__all__ = ["Rows", "families", "fold", "read_names", "read_rows", "share_of"]

Floats = npt.NDArray[np.float64]

_CLIP_SPACE = "openai/clip-vit-base-patch32"
_CLIP_WIDTH = 512


@dataclass(frozen=True)
class Rows:
    """A table of names and vectors.

    Attributes:
        names: M different names.
        vectors_TME: unit vectors.
        templates: T prompt templates.
        space: id of the space.
    """

    names: tuple[str, ...]
    vectors_TME: Floats
    templates: tuple[str, ...]
    space: str

    def find(self, names: Sequence[str], what: str) -> npt.NDArray[np.intp]:
        """Return the row numbers of names.

        Args:
            names: the names.
            what: where they come from, for messages.

        Raises:
            DataError: no row has one of the names.
        """
        row = {fold(name): index for index, name in enumerate(self.names)}
        missing = [name for name in names if fold(name) not in row]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            shown = ", ".join(f"'{name}'" for name in missing[:3])
            raise DataError(f"{what}: no row has the name {shown}{more}; list names of the rows, one a line.")
        return np.array([row[fold(name)] for name in names], dtype=np.intp)


def read_rows(path: Path) -> Rows:
    """Read a table in one of the ``.npz`` layouts of ``embedding-table``.

    - ``names`` (M,) and ``vectors`` (M, E) or (T, M, E), optionally with ``templates`` (T,) and ``space``;
    - ``class_names`` (M,) and one array (M, E) for each template;
    - ``name`` (M,) and ``emb`` (M, E) for the template "a {}".

    If several rows have the same name, the first one is used.

    Raises:
        DataError: the file is missing or damaged, or has another layout.
    """
    what = f"'{path}'"
    if not path.is_file():
        raise DataError(f"{what} does not exist; give an .npz file of names and vectors.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, npt.NDArray[Any]] = {name: archive[name] for name in archive.files}
    except (AttributeError, OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(
            f"{what} cannot be read as .npz ({str(error).rstrip('.')}); write it with numpy.savez."
        ) from error
    names, vectors, templates = _layout(arrays, what)
    if names.ndim != 1 or names.dtype.kind != "U" or not all(fold(str(name)) for name in names):
        raise DataError(f"{what}: the names have shape {names.shape} and type {names.dtype}; expected (M,) strings.")
    vectors = vectors[None] if vectors.ndim == 2 else vectors
    if vectors.ndim != 3 or vectors.dtype.kind != "f" or vectors.shape[1] != len(names):
        raise DataError(f"{what}: {len(names)} names, but vectors of shape {vectors.shape} and type {vectors.dtype}.")
    templates = templates or ["{}" if t == 0 else f"{{}} (template {t})" for t in range(len(vectors))]
    if len(templates) != len(vectors) or any("{}" not in template for template in templates):
        raise DataError(
            f"{what}: {len(vectors)} sets of vectors need as many templates with {{}} in each; got {templates}."
        )
    if "space" not in arrays and vectors.shape[2] != _CLIP_WIDTH:
        raise DataError(
            f"{what} states no 'space' and its vectors are {vectors.shape[2]} wide; add 'space', one string."
        )
    first = {fold(str(name)): row for row, name in reversed(list(enumerate(names)))}
    kept = sorted(first.values())
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=2, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise DataError(f"{what} has a vector that is zero or not finite; compute it again.")
    unit = (vectors / lengths)[:, kept]
    return Rows(
        names=tuple(str(names[row]) for row in kept),
        vectors_TME=unit.astype(np.float64),
        templates=tuple(templates),
        space=str(arrays.get("space", _CLIP_SPACE)),
    )


def _layout(arrays: dict[str, npt.NDArray[Any]], what: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any], list[str]]:
    if {"names", "vectors"} <= arrays.keys():
        return arrays["names"], arrays["vectors"], [str(t) for t in np.atleast_1d(arrays.get("templates", []))]
    if "class_names" in arrays:
        parts = {key: array for key, array in arrays.items() if array.ndim == 2 and array.dtype.kind == "f"}
        if len({array.shape for array in parts.values()}) == 1:
            return arrays["class_names"], np.stack(list(parts.values())), [_template_of(key) for key in parts]
    if {"name", "emb"} <= arrays.keys():
        return arrays["name"], arrays["emb"], ["a {}"]
    raise DataError(
        f"{what} has the arrays {', '.join(sorted(arrays)) or '(none)'}; expected 'names' and 'vectors', or 'class_names' "
        "and one array a template, or 'name' and 'emb'."
    )


def _template_of(key: str) -> str:
    words = key.split("_")
    return " ".join(words if len(words) == 1 else [words[0].capitalize(), *words[1:]]) + " {}"


def read_names(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty.

    Raises:
        DataError: the file cannot be read, or has no such line.
    """
    try:
        names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' cannot be read (no UTF-8 text); give a text file with one name a line.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"'{path}' cannot be read ({reason}); give a text file with one name a line.") from error
    if not names:
        raise DataError(f"'{path}' has no names; write one name a line.")
    return names


def fold(name: str) -> str:
    """Return a name in lower case with single spaces: ``Aquarium_Fish`` and ``aquarium-fish`` -> ``aquarium fish``."""
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip()


def families(names: Sequence[str]) -> list[str]:
    """Return one key for each of M names, which is equal for synonyms.

    A name may list synonyms, separated by commas. Names that share a synonym have the same key, directly or through other
    names. Remarks in brackets and a plural s do not count. The keys are used for splitting, because a name must not be held
    out while its synonym is in the fit.
    """
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    keys = []
    for name in names:
        found = list(
            dict.fromkeys(_stem(text) for part in name.split(",") for text in (part, re.sub(r"\(.*?\)", " ", part)))
        )
        found = [key for key in found if key] or [fold(name)]
        keys.append(found[0])
        for other in found[1:]:
            # Take the smallest spelling, so that the key does not depend on the order of the names.
            low, high = sorted((find(found[0]), find(other)))
            leader[high] = low
    return [find(key) for key in keys]


def _stem(text: str) -> str:
    words = re.sub(r"[^\w]+", " ", fold(text)).split()
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word for word in words)


def share_of(key: str, salt: str = "") -> float:
    """Return a pseudorandom number in [0, 1) that depends only on the text."""
    return int.from_bytes(hashlib.sha256((salt + key).encode()).digest()[:8], "big") / 2**64


def divide(rows: Rows, held_out: Path | None, share: float) -> npt.NDArray[np.bool_]:
    """Return which rows (M,) are held out: those in a list of names, or a share of the families.

    Raises:
        ConfigError: the share is not between 0 and 1.
        DataError: a listed name has no row, or too few rows are fitted or held out.
    """
    if held_out is None and not 0 < share < 1:
        raise ConfigError(f"--held-out-share is {share}; give a number between 0 and 1.")
    if held_out is not None:
        chosen = np.zeros(len(rows.names), dtype=bool)
        chosen[rows.find(read_names(held_out), f"'{held_out}'")] = True
    else:
        chosen = np.array([share_of(key) < share for key in families(rows.names)])
    if chosen.sum() < 2 or (~chosen).sum() < 10:
        raise DataError(
            f"{(~chosen).sum()} rows for the fit and {chosen.sum()} held out; at least 10 and 2 are needed. Give more rows."
        )
    return chosen
