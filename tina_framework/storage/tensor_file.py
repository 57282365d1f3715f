"""Read single tensors from a large safetensors file, after its SHA-256 was checked once."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tina_framework.errors import CheckpointError
from tina_framework.storage.folders import check_sha256
from tina_framework.storage.tensor_stream import METADATA, header_entries
from tina_framework.storage.text import open_regular

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Header", "TensorFile"]

_MAX_HEADER_BYTES = 256 * 2**20

_SMALL_BYTES = 16 * 2**20
"""Files up to this size are read once, for the hash and for the tensors."""

_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file.

    Attributes:
        metadata: the texts in it.
        shapes: tensor name -> shape.
        types: tensor name -> type.
        places: tensor name -> first byte in the file, and the byte after the last one.
    """

    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    types: dict[str, Any]
    places: dict[str, tuple[int, int]]


class TensorFile:
    """A safetensors file on disk. Tensors are read when they are asked for, and only the header stays in memory.

    The file is hashed before its first tensor is read, and again whenever it has changed since. Reads are plain reads: a
    file that is cut short gives an error, where a mapped one would end the process with SIGBUS. The system keeps what
    was read in its cache of files, and all processes of a machine share that cache. Threads may read at the same time.

    Args:
        path: the file.
        sha256: its recorded SHA-256, in hexadecimal.
        recorded_in: the file that records it, for messages.
        check: called with the header after the SHA-256 was checked; raises if the contents are not the expected ones.
    """

    def __init__(
        self, path: Path, sha256: str, recorded_in: str, check: Callable[[Header], None] = lambda header: None
    ) -> None:
        self.path = path
        self._sha256, self._recorded_in, self._check = sha256, recorded_in, check
        self._header: Header | None = None
        self._stamp: _Stamp | None = None
        self._lock = threading.Lock()

    def verify(self) -> Header:
        """Compare the file with its SHA-256, unless that was done and the file has not changed since.

        Raises:
            CheckpointError: it is missing, unreadable, altered, or refused by `check`.
        """
        with _Reading(self.path) as file:
            return self._verified(file)[0]

    def read(self, names: Sequence[str]) -> list[Tensor]:
        """Return some tensors. Those that follow each other in the file are read at once.

        Raises:
            CheckpointError: as for `verify`.
            KeyError: there is no such tensor.
        """
        import torch

        with _Reading(self.path) as file:
            header, contents = self._verified(file)

            def data(start: int, end: int) -> memoryview:
                if contents is None:
                    return self._bytes(file, start, end)
                part = contents[start:end]
                # A view would keep the whole file in memory as long as the tensors.
                return part if 2 * len(part) > len(contents) else memoryview(bytearray(part))

            places = [header.places[name] for name in names]
            follow = all(end == start for (_, end), (start, _) in itertools.pairwise(places))
            if follow and places:
                whole, first = data(places[0][0], places[-1][1]), places[0][0]
                kinds = {(header.types[name], header.shapes[name]) for name in names}
                if len(kinds) == 1 and len(whole):  # one call for all of them is much quicker
                    [(kind, shape)] = kinds
                    return list(torch.frombuffer(whole, dtype=kind).reshape(len(names), *shape).unbind())
                parts = [whole[start - first : end - first] for start, end in places]
            else:
                parts = [data(start, end) for start, end in places]
        return [
            torch.frombuffer(part, dtype=header.types[name]).reshape(header.shapes[name])
            if len(part)
            else torch.empty(header.shapes[name], dtype=header.types[name])
            for part, name in zip(parts, names, strict=True)
        ]

    def _verified(self, file: IO[bytes]) -> tuple[Header, memoryview | None]:
        """Return the header, and the whole file if it is small and had to be read."""
        with self._lock:  # threads that read other parts of the file wait for its hash
            stamp, contents = _stamp(file), None
            if self._header is None or self._stamp != stamp:
                contents = self._bytes(file, 0, stamp[0]) if stamp[0] <= _SMALL_BYTES else None
                self._header = self._hashed(file, stamp, contents)
                self._stamp = stamp
            return self._header, contents

    def _hashed(self, file: IO[bytes], stamp: _Stamp, contents: memoryview | None) -> Header:
        if contents is None:
            found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        else:
            found = hashlib.sha256(contents).hexdigest()
        check_sha256(self.path, self._sha256, self._recorded_in, found)
        header = self._read_header(file, stamp[0])
        if _stamp(file) != stamp:
            raise CheckpointError(f"'{self.path}' was changed while it was read; let nothing write into it.")
        self._check(header)
        return header

    def _read_header(self, file: IO[bytes], size: int) -> Header:
        try:
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if length > min(size - 8, _MAX_HEADER_BYTES):
                raise ValueError("the header is longer than the file")
            # The SHA-256 has vouched for the contents, so the quick parser of Python is strict enough.
            values = json.loads(str(file.read(length), "utf-8"))
            shapes, types, places, place = {}, {}, {}, 8 + length
            for name, kind, shape in header_entries(values, size - place):
                end = place + math.prod(shape) * kind.itemsize
                shapes[name], types[name], places[name] = tuple(shape), kind, (place, end)
                place = end
            metadata = values.get(METADATA, {})
            if not isinstance(metadata, Mapping) or not all(isinstance(text, str) for text in metadata.values()):
                raise ValueError("its texts are not texts")
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"'{self.path}' is not a safetensors file ({error}); restore or rebuild it."
            ) from error
        return Header(dict(metadata), shapes, types, places)

    def _bytes(self, file: IO[bytes], start: int, end: int) -> memoryview:
        data = bytearray(end - start)
        file.seek(start)
        if file.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise CheckpointError(f"'{self.path}' was cut while it was read; restore or rebuild it.")
        return memoryview(data)


class _Reading:
    """An open file. Errors of the system become a `CheckpointError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> IO[bytes]:
        try:
            self.file = open_regular(self.path)
        except OSError as error:
            raise self._error(error) from error
        return self.file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.file.close()
        if isinstance(error, OSError):
            raise self._error(error) from error

    def _error(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"'{self.path}' cannot be read ({error.strerror or error}); restore or rebuild it, or try again."
        )


def _stamp(file: IO[bytes]) -> _Stamp:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
