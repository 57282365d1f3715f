"""Reading and writing JSON and safetensors: whole files or none, and one clear sentence when something is off."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "cache_folder",
    "check_tensors",
    "home_path",
    "read_json",
    "read_metadata",
    "read_safetensors",
    "replacing",
    "write_json",
    "write_safetensors",
]


def cache_folder() -> Path:
    """Where things are kept that can be had again: ``$TINA_CACHE``, or ``~/.cache/tina_framework``."""
    named = os.environ.get("TINA_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "tina_framework"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; on success it is synced and renamed over `path`, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        # safetensors writes mode 0600; a checkpoint is meant to be read by others.
        temporary.chmod(0o644)
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` atomically, indented, with a final newline. NaN and infinity are refused (ValueError)."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def home_path(path: str) -> Path:
    """With ``~`` replaced by the home folder; where the system knows no such user, the path as it stands."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        CheckpointError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"'{path}' does not exist; the folder is incomplete or the path is wrong.") from None
    # ValueError: no UTF-8, no JSON, or a number of thousands of digits.
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' cannot be read as JSON ({error}); restore or rebuild it.") from error


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors (moved to the CPU, made contiguous) atomically.

    Raises:
        OSError: the file cannot be written (safetensors has an error of its own for that).
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, metadata=dict(metadata or {}))
        except SafetensorError as error:
            raise OSError(f"'{path}' could not be written: {error}") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU.

    Raises:
        CheckpointError: the file is missing, truncated or not safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(f"'{path}' does not exist; the folder is incomplete or the path is wrong.")
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"'{path}' is truncated or altered ({error}); restore or rebuild it.") from error


def read_metadata(path: Path) -> dict[str, str]:
    """The string metadata in a safetensors header.

    Raises:
        CheckpointError: the file is missing, truncated or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"'{path}' does not exist; the folder is incomplete or the path is wrong.")
    try:
        with safe_open(path, framework="pt") as handle:
            return dict(handle.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"'{path}' is truncated or altered ({error}); restore or rebuild it.") from error


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Refuses tensors whose names, shapes or values are not what is expected.

    Args:
        tensors: what was read.
        shapes: name -> expected shape, of every tensor that must be there; no others may.
        source: how to call the place they came from, in the message.

    Raises:
        CheckpointError: a name is missing or extra, a shape differs, or a value is not finite.
    """
    missing = sorted(shapes.keys() - tensors.keys())
    extra = sorted(tensors.keys() - shapes.keys())
    if missing or extra:
        parts = [
            f"lacks {', '.join(missing[:3])}" if missing else "",
            f"has unknown {', '.join(extra[:3])}" if extra else "",
        ]
        raise CheckpointError(
            f"{source} {' and '.join(p for p in parts if p)}; it was altered or made by something else."
        )
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != tuple(shape):
            raise CheckpointError(f"{source}: '{name}' has shape {tuple(tensor.shape)}, expected {tuple(shape)}.")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{source}: '{name}' holds values that are not finite; restore or rebuild it.")
