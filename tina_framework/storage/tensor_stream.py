"""Read safetensors files tensor by tensor, so that a large file is never in memory twice."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tina_framework.storage.text import is_lfs_pointer, open_regular

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DTYPES", "METADATA", "LfsPointerError", "header_entries", "read_tensors"]

METADATA = "__metadata__"
"""Key of the texts in the header of a safetensors file."""

DTYPES = {
    "torch.int64": "I64",
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.int32": "I32",
    "torch.bfloat16": "BF16",
    "torch.float16": "F16",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}
"""Type of a tensor -> its name in safetensors files, in the order in which that library writes them."""

_MAX_HEADER_BYTES = 100_000_000  # the limit of safetensors
_PIECE_BYTES = 2**20  # read and hashed at once, while the bytes are in the processor's cache


class LfsPointerError(ValueError):
    """The file is a Git LFS pointer."""


def read_tensors(
    path: Path, parse: Callable[[str], Any], convert: Callable[[str, Tensor], Tensor] | None = None
) -> tuple[dict[str, Tensor], str]:
    """Read all tensors of a file, and return them with the SHA-256 of the same bytes.

    The file is read once, so that it cannot change between hashing and reading. Each tensor is read into its own memory.

    Args:
        path: the file.
        parse: parses the JSON of the header strictly.
        convert: called with the name and the value of each tensor. Its result is kept instead, for example in another type or on
            another device. Then only one tensor at a time is in memory as the file has it.

    Raises:
        OSError: the file is missing or unreadable, or it is not a regular file.
        ValueError: the file is truncated, or not safetensors.
    """
    import torch

    digest = hashlib.sha256()
    tensors = {}
    with open_regular(path) as file:
        if is_lfs_pointer(file):
            raise LfsPointerError("it is a Git LFS pointer")
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
            raise ValueError("the header is longer than the file")
        text = file.read(length)
        digest.update(head)
        digest.update(text)
        for name, dtype, shape in header_entries(parse(str(text, "utf-8")), size - 8 - length):
            try:
                tensor = torch.empty(shape, dtype=dtype)
            except (RuntimeError, TypeError, OverflowError) as error:
                raise ValueError(f"{name!r} has an impossible shape") from error
            _fill(tensor.flatten().view(torch.uint8).numpy().data, file, digest)
            tensors[name] = tensor if convert is None else convert(name, tensor)
    return dict(sorted(tensors.items())), digest.hexdigest()


def header_entries(header: Any, size: int) -> Iterator[tuple[str, Any, list[int]]]:
    """Yield name, type and shape of each tensor in the order of the file, after checking that they fill it exactly."""
    import torch

    types = {name: getattr(torch, dtype.removeprefix("torch.")) for dtype, name in DTYPES.items()}
    found = []
    if not isinstance(header, dict):
        raise ValueError("the header is not an object")
    for name, entry in header.items():
        if name == METADATA:
            continue
        try:
            dtype, shape, (start, end) = types[entry["dtype"]], entry["shape"], entry["data_offsets"]
            if not all(type(value) is int and value >= 0 for value in (*shape, start, end)):
                raise ValueError(f"{name!r} has an invalid shape or place")
            if end - start != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name!r} does not have the size of its shape")
        except (KeyError, TypeError) as error:
            raise ValueError(f"the header describes {name!r} wrongly") from error
        found.append((start, end, name, dtype, shape))
    found.sort(key=lambda item: item[:2])
    place = 0
    for start, end, name, _, _ in found:
        if start != place:
            raise ValueError(f"{name!r} does not follow the tensor before it")
        place = end
    if place != size:
        raise ValueError(f"the file has {size} bytes of tensors instead of {place}")
    for _, _, name, dtype, shape in found:
        yield name, dtype, shape


def _fill(memory: memoryview, file: IO[bytes], digest: Any) -> None:
    """Read as many bytes as `memory` holds, and hash them."""
    place = 0
    while place < len(memory):
        piece = memory[place : place + _PIECE_BYTES]
        count: int = file.readinto(piece)  # type: ignore[attr-defined]  # `IO` lacks it
        if not count:
            raise ValueError("the file ends early")
        digest.update(piece[:count])
        place += count
