"""Read and write JSON and safetensors. Files are written atomically, and damaged files give a clear error."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import CheckpointError, shorten
from tina_framework.storage.paths import utf8_path
from tina_framework.storage.temporary import sweep, temporary_file
from tina_framework.storage.tensor_stream import DTYPES, METADATA, LfsPointerError, read_tensors
from tina_framework.storage.text import MAX_TEXT_BYTES, is_lfs_pointer, read_bytes, read_text

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "check_tensors",
    "parse_json",
    "read_digested",
    "read_hashed",
    "read_json",
    "read_metadata",
    "read_safetensors",
    "replacing",
    "to_json",
    "write_json",
    "write_safetensors",
]

DIGEST = "sha256"
"""Key in the metadata of a safetensors file: the SHA-256 of everything else in it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. On success it is synced and renamed to `path`; otherwise it is removed.

    The temporary file exists already, and its mode follows the umask. Write into it: do not replace it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    with temporary_file(path) as (temporary, handle):
        yield temporary
        os.fsync(handle)
        temporary.replace(path)


def to_json(value: Any, indent: int | None = 2) -> str:
    """Return `value` as JSON with a final newline. NumPy and torch scalars become numbers, paths become text.

    Args:
        value: what to write.
        indent: spaces for each level; None: all on one line.

    Raises:
        ValueError: it contains NaN or infinity, which JSON does not have.
        TypeError: it contains something else that JSON does not have.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    # Half a surrogate pair, as in undecodable file names, becomes an escape of JSON. Writing it would fail.
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "ndim", None) == 0:  # a scalar of NumPy or torch
        return value.item()
    raise TypeError(f"JSON has no {type(value).__name__}")


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write `value` as JSON, atomically; see `to_json`.

    Raises:
        ValueError, TypeError: JSON cannot hold it. Nothing is written.
    """
    text = to_json(value, indent)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read_json(path: Path, limit: int = MAX_TEXT_BYTES, most_objects: int | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        limit: the greatest number of bytes to accept.
        most_objects: the greatest number of ``{`` to accept; None: any. Many small objects take long to read.

    Raises:
        CheckpointError: the file is missing, unreadable, too large or not JSON, or an object in it has a key twice.
    """
    try:
        text = read_text(path, limit)
        if most_objects is not None and text.count("{") > most_objects:
            raise ValueError(f"it has more than {most_objects:,} objects")
        return parse_json(text)
    except FileNotFoundError:
        raise _missing(path) from None
    # ValueError: not UTF-8, not JSON, or an integer with thousands of digits.
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(f"'{path}' cannot be read as JSON ({reason}); restore or rebuild it.") from error


def parse_json(text: str) -> Any:
    """Parse JSON strictly.

    Raises:
        ValueError: it is not JSON, has NaN or infinity, or an object in it has a key twice.
    """
    return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {shorten(next(n for n in names if names.count(n) > 1))} appears twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, *, digest: bool = False
) -> str:
    """Write tensors atomically. Equal contents give equal files, byte for byte.

    The file is written here, because safetensors orders the texts of the header at random, and copies all tensors twice.
    It is read with safetensors.

    Args:
        path: the file.
        tensors: name -> tensor, on any device.
        metadata: texts for the header of the file.
        digest: also write the SHA-256 of all contents into the header. `read_digested` checks it.

    Returns:
        The SHA-256 of the file, in hexadecimal. It is that of the bytes to write, so it shows a faulty disk, too.

    Raises:
        OSError: the file cannot be written.
        TypeError: a tensor has a type that these files do not hold.
    """
    import torch

    odd = sorted({str(tensor.dtype) for tensor in tensors.values()} - DTYPES.keys())
    if odd:
        raise TypeError(f"'{path}' cannot hold tensors of type {odd[0]}; convert them first.")

    ordered = _in_file_order(tensors)
    bodies = [tensor.flatten().view(torch.uint8).numpy() for _, tensor in ordered]
    header: dict[str, Any] = {}
    start = 0
    for (name, tensor), body in zip(ordered, bodies, strict=True):
        end = start + len(body)
        header[name] = {"dtype": DTYPES[str(tensor.dtype)], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    texts = dict(metadata or {})
    if digest:
        texts[DIGEST] = _digest({**header, METADATA: texts}, *bodies)
    head = _compact({METADATA: dict(sorted(texts.items())), **header} if texts else header)
    head += b" " * (-len(head) % 8)  # the tensors begin at a multiple of 8 bytes
    parts: list[Any] = [len(head).to_bytes(8, "little"), head, *bodies]
    whole = hashlib.sha256()
    with replacing(path) as temporary, temporary.open("r+b") as file:
        for part in parts:
            file.write(part)
            whole.update(part)
    return whole.hexdigest()


def _in_file_order(tensors: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Return contiguous tensors on the CPU, in the order in which safetensors writes them: by type, then by name."""
    plain = [(name, tensor.detach().cpu().contiguous()) for name, tensor in tensors.items()]
    rank = {dtype: number for number, dtype in enumerate(DTYPES)}
    return sorted(plain, key=lambda item: (rank[str(item[1].dtype)], item[0]))


def _split(data: memoryview) -> tuple[dict[str, Any], memoryview]:
    """Return the header and the tensors' bytes of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError("the header is longer than the file")
    header = parse_json(str(data[8 : 8 + length], "utf-8"))
    if not isinstance(header, dict):
        raise ValueError("the header is not an object")
    return header, data[8 + length :]


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _metadata(header: Mapping[str, Any]) -> dict[str, str]:
    return header.get(METADATA) or {}  # the library that parsed the file before also takes null


def _digest(header: Mapping[str, Any], *body: Any) -> str:
    """Return the SHA-256 of a file's contents: its header without the digest itself, and its tensors."""
    texts = {name: text for name, text in _metadata(header).items() if name != DIGEST}
    rest = {**header, METADATA: texts}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())
    for part in body:
        digest.update(part)
    return digest.hexdigest()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file, on the CPU.

    Raises:
        CheckpointError: the file is missing, truncated, or not safetensors.
    """
    return read_hashed(path)[0]


def read_hashed(path: Path, convert: Callable[[str, Tensor], Tensor] | None = None) -> tuple[dict[str, Tensor], str]:
    """Read all tensors of a file, and return them with the SHA-256 of the same bytes; see `read_tensors`.

    Args:
        path: the file.
        convert: called with the name and the value of each tensor. Its result is kept instead.

    Raises:
        CheckpointError: as for `read_safetensors`.
    """
    try:
        return read_tensors(path, parse_json, convert)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read ({error.strerror}); restore or rebuild it.") from error
    except LfsPointerError as error:
        raise _pointer(path) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' is truncated or altered ({error}); restore or rebuild it.") from error


def read_digested(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a file that `write_safetensors` wrote with its digest.

    Raises:
        CheckpointError: as for `read_safetensors`; or the file was altered, or it has no digest.
    """
    data = _read(path)
    tensors = _parse(path, data)
    header, body = _split(memoryview(data))
    texts = _metadata(header)
    if texts.get(DIGEST) != _digest(header, body):
        raise CheckpointError(
            f"'{path}' was altered (its SHA-256 is not the one in its header); restore or rebuild it."
        )
    return tensors, {name: text for name, text in texts.items() if name != DIGEST}


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read ({error.strerror}); restore or rebuild it.") from error


def _parse(path: Path, data: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if is_lfs_pointer(data):
        raise _pointer(path)
    try:
        return dict(sorted(load(data).items()))  # `load` gives them in random order, which fingerprints would show
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"'{path}' is truncated or altered ({error}); restore or rebuild it.") from error


def _pointer(path: Path) -> CheckpointError:
    return CheckpointError(
        f"'{path}' is a Git LFS pointer instead of the weights; run `git lfs pull` in its repository."
    )


def _missing(path: Path) -> CheckpointError:
    return CheckpointError(f"'{path}' does not exist; the folder is incomplete or the path is wrong.")


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata in the header of a safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated, or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise _missing(path)
    try:
        with utf8_path(path) as opened, safe_open(opened, framework="pt") as handle:
            return dict(handle.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"'{path}' is truncated or altered ({error}); restore or rebuild it.") from error


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Check names, shapes and values of tensors.

    Args:
        tensors: the tensors that were read.
        shapes: name -> expected shape, for exactly the tensors that must be there.
        source: name of the file, for the message.

    Raises:
        CheckpointError: a name is missing or extra, a shape differs, or a value is not finite.
    """
    missing = sorted(shapes.keys() - tensors.keys())
    extra = sorted(tensors.keys() - shapes.keys())
    if missing or extra:
        parts = [
            f"lacks {', '.join(_short(name) for name in missing[:3])}" if missing else "",
            f"has unknown {', '.join(_short(name) for name in extra[:3])}" if extra else "",
        ]
        raise CheckpointError(
            f"{source} {' and '.join(p for p in parts if p)}; it was altered, or another program wrote it."
        )
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != tuple(shape):
            raise CheckpointError(f"{source}: '{name}' has shape {tuple(tensor.shape)}, expected {tuple(shape)}.")
        if tensor.is_floating_point() and not _is_finite(tensor):
            raise CheckpointError(f"{source}: '{name}' holds values that are not finite; restore or rebuild it.")


def _is_finite(tensor: Tensor) -> bool:
    # NaN and infinity show in the extremes. They are found ten times as fast as `isfinite` tests every value.
    return not tensor.numel() or all(bool(extreme.isfinite()) for extreme in tensor.aminmax())


def _short(name: str) -> str:
    """Return a name for a message: cut, and escaped, because whoever wrote the file chose it."""
    return shorten(name)[1:-1]
