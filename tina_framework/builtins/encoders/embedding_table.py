"""``embedding-table:FILE``: precomputed vectors, looked up by class name.

Shapes: M rows of the table, T templates, N texts, E width of the vectors.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import DataError, PromptError, shorten
from tina_framework.interfaces.class_names import MAX_TEXT_LENGTH, fold, name_fault, normalize_name
from tina_framework.interfaces.encoder import Vectors
from tina_framework.plugin.suggest import closest
from tina_framework.storage.paths import user_path, utf8_path
from tina_framework.storage.text import is_lfs_pointer

__all__ = ["EmbeddingTable"]

_CLIP_SPACE = "openai/clip-vit-base-patch32"
_CLIP_WIDTH = 512
_SHOWN = 5
_MAX_TABLE_BYTES = 4 * 2**30
"""Limit of all arrays together, in bytes. A table of 100,000 names with five templates of CLIP's width needs a quarter."""

_MAX_TEMPLATES = 1000


class EmbeddingTable:
    """An encoder that knows only the names in one file.

    The file has one of three layouts:

    - ``.npz`` or ``.safetensors`` with ``names`` (M,) strings and ``vectors`` (M, E) or (T, M, E). ``templates`` (T,) strings
      and ``space``, one string, are optional. A ``.safetensors`` file cannot store strings as tensors. There ``names`` and
      ``templates`` are JSON lists in the metadata, and ``space`` is a plain string in the metadata.
    - ``.npz`` with ``class_names`` (M,) strings. Every other array (M, E) is a template, whose words are the array's name:
      ``this_is_a_photo_of_a`` means "This is a photo of a {}".
    - ``.npz`` with ``name`` (M,) strings and ``emb`` (M, E). The template is "a {}".

    Names are compared without regard to case, hyphens, underscores and repeated spaces. If several rows have the same name,
    the first one is used. They are not averaged, because they come from different prompts.

    Args:
        path: the file.

    Attributes:
        name: ``embedding-table:FILE``.
        dim: E.
        space: id of the vector space in the file; by default ``openai/clip-vit-base-patch32`` if E is 512.
        templates: prompt templates that the vectors were computed with.
        names: distinct names in the spelling and order of the file.

    Raises:
        DataError: the file is missing or damaged, or has another layout.
    """

    def __init__(self, path: str | Path) -> None:
        source = user_path(path)
        self.name = f"embedding-table:{path}"
        table = _layout(_read(source), f"Embedding table '{source}'")
        self.templates = table.templates
        self.space = table.space
        self.dim = int(table.vectors_TME.shape[2])
        self._vectors_TME = table.vectors_TME
        self._row: dict[str, int] = {}
        for row, name in enumerate(table.names):
            self._row.setdefault(fold(name), row)
        self.names = tuple(table.names[row] for row in self._row.values())

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return the rows (N, E) of names.

        Raises:
            PromptError: the table lacks a name, or the template does not exist.
        """
        if not 0 <= template < len(self.templates):
            raise PromptError(
                f"{self.name} has no template number {template}; it has {len(self.templates)}, counted from 0: "
                f"{', '.join(repr(t) for t in self.templates)}."
            )
        keys = [fold(text) for text in texts]
        missing = list(dict.fromkeys(text for text, key in zip(texts, keys, strict=True) if key not in self._row))
        if missing:
            raise PromptError(self._lacks(missing))
        return self._vectors_TME[template, [self._row[key] for key in keys]]

    def _lacks(self, missing: Sequence[str]) -> str:
        parts = []
        for text in missing[:_SHOWN]:
            close = closest(fold(text), self._row, count=3)
            parts.append(
                shorten(text) + (f" (closest: {', '.join(shorten(name)[1:-1] for name in close)})" if close else "")
            )
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        return (
            f"{self.name} lacks {', '.join(parts)}{more}; it can only encode the {len(self._row)} names it holds. "
            "Use one of them, or an encoder that reads any text (clip-lite, clip-vit-b-32)."
        )

    def __repr__(self) -> str:
        return f"EmbeddingTable({self.name!r}, {len(self._row)} names, {len(self.templates)} templates)"


@dataclass(frozen=True)
class _Table:
    names: tuple[str, ...]
    vectors_TME: npt.NDArray[np.float32]
    templates: tuple[str, ...]
    space: str


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        fault = "is not a regular file" if path.exists() else "does not exist"
        raise DataError(f"Embedding table '{path}' {fault}; give a file: embedding-table:FILE.npz.")
    reader = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"Embedding table '{path}' is neither .npz nor .safetensors; convert it to one of them.")
    if is_lfs_pointer(path):
        raise DataError(
            f"Embedding table '{path}' is a Git LFS pointer instead of the file itself; run `git lfs pull` to get it."
        )
    return reader(path)


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (
        OSError,
        ValueError,
        EOFError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise DataError(
            f"Embedding table '{path}' cannot be read ({_first_line(error)}); write it again with numpy.savez, "
            "strings as a string array, not as objects."
        ) from error


def _check_sizes(path: Path) -> None:
    """Compare the sizes that an archive states with its contents, before memory is allocated for them.

    Raises:
        ValueError: the arrays are too large, or an array is larger than its file.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MAX_TEMPLATES + 10 or sum(member.file_size for member in members) > _MAX_TABLE_BYTES:
            raise ValueError(f"it holds more than {_MAX_TABLE_BYTES:,} bytes, or more than {_MAX_TEMPLATES:,} arrays")
        for member in members:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            if not dtype.hasobject and math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{shorten(member.filename)} is cut: it should have the shape {shorten(shape)}")


def _read_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with utf8_path(path) as opened, safe_open(opened, framework="numpy") as handle:
            arrays = {name: np.asarray(handle.get_tensor(name)) for name in handle.keys()}  # noqa: SIM118 - no mapping
            metadata = dict(handle.metadata() or {})
        for key in ("names", "templates"):
            if key in metadata:
                arrays[key] = np.asarray([str(value) for value in json.loads(metadata[key])], dtype=np.str_)
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise DataError(
            f"Embedding table '{path}' cannot be read ({_first_line(error)}); write it again, 'names' and 'templates' "
            "as JSON lists in the metadata."
        ) from error
    if "space" in metadata:
        arrays["space"] = np.asarray(metadata["space"])
    return arrays


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _layout(arrays: Mapping[str, npt.NDArray[Any]], source: str) -> _Table:
    """Detect which of the three layouts the arrays have, and check them."""
    if {"names", "vectors"} <= arrays.keys():
        names, vectors = arrays["names"], arrays["vectors"]
        templates = _strings(arrays["templates"], "templates", source) if "templates" in arrays else None
    elif "class_names" in arrays:
        names = arrays["class_names"]
        parts = {key: array for key, array in arrays.items() if array.ndim == 2 and array.dtype.kind == "f"}
        if len({array.shape for array in parts.values()}) != 1:
            shapes = ", ".join(f"{shorten(key)} {array.shape}" for key, array in list(parts.items())[:_SHOWN]) or "none"
            raise DataError(f"{source}: besides 'class_names' it needs vectors (M, E) of equal shapes; found {shapes}.")
        vectors = np.stack(list(parts.values()))
        templates = tuple(_template_of(key) for key in parts)
    elif {"name", "emb"} <= arrays.keys():
        names, vectors, templates = arrays["name"], arrays["emb"], ("a {}",)
    else:
        raise DataError(
            f"{source} has the arrays {shorten(', '.join(sorted(arrays)), 200)[1:-1] or '(none)'}; expected 'names' and 'vectors', "
            "or 'class_names' and one array a template, or 'name' and 'emb'."
        )
    return _checked(_strings(names, "names", source), vectors, templates, arrays.get("space"), source)


def _template_of(key: str) -> str:
    """``a`` -> "a {}", ``this_is_a_photo_of_a`` -> "This is a photo of a {}"."""
    words = key.split("_")
    return " ".join(words if len(words) == 1 else [words[0].capitalize(), *words[1:]]) + " {}"


def _strings(array: npt.NDArray[Any], what: str, source: str) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind != "U" or not len(array):
        raise DataError(f"{source}: '{what}' has shape {array.shape} and type {array.dtype}; expected (M,) strings.")
    return tuple(str(value) for value in array)


def _checked(
    names: tuple[str, ...],
    vectors: npt.NDArray[Any],
    templates: tuple[str, ...] | None,
    space: npt.NDArray[Any] | None,
    source: str,
) -> _Table:
    vectors_TME = vectors[None] if vectors.ndim == 2 else vectors
    if vectors_TME.ndim != 3 or vectors_TME.dtype.kind != "f" or vectors_TME.shape[1] != len(names):
        raise DataError(
            f"{source}: {len(names)} names, but vectors of shape {vectors.shape} and type {vectors.dtype}; "
            f"expected ({len(names)}, E) or (T, {len(names)}, E) floats."
        )
    if templates is None:
        # The file does not tell the words around the name.
        templates = tuple("{}" if number == 0 else f"{{}} (template {number})" for number in range(len(vectors_TME)))
    if len(templates) != len(vectors_TME) or any("{}" not in template for template in templates):
        raise DataError(
            f"{source}: templates {shorten(list(templates), 200)} for {len(vectors_TME)} sets of vectors; "
            "expected one each, with {} where the name goes."
        )
    vectors_TME = vectors_TME.astype(np.float32)
    usable = np.isfinite(vectors_TME).all(axis=2) & (np.abs(vectors_TME).max(axis=2, initial=0.0) > 0)
    if not usable.all():
        row = int(np.flatnonzero(~usable.all(axis=0))[0])
        raise DataError(f"{source}: the vector of {shorten(names[row])} is zero or not finite; compute it again.")
    for text in (*names, *templates):
        if (fault := name_fault(normalize_name(text), MAX_TEXT_LENGTH)) and normalize_name(text):
            raise DataError(f"{source}: the name or template {shorten(text)} {fault}; change it.")
    if any(not fold(name) for name in names):
        raise DataError(f"{source}: a name is empty; give every row a name.")
    if space is not None and (space.ndim != 0 or space.dtype.kind != "U" or not str(space)):
        raise DataError(f"{source}: 'space' must be one string, the id of the vector space.")
    width = int(vectors_TME.shape[2])
    if space is None and width != _CLIP_WIDTH:
        raise DataError(
            f"{source} states no 'space' and its vectors are {width} wide; only tables of width {_CLIP_WIDTH} are "
            f"taken to be of '{_CLIP_SPACE}'. Add 'space'."
        )
    return _Table(names, vectors_TME, templates, _CLIP_SPACE if space is None else str(space))
