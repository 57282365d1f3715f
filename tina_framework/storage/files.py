"""Read and write JSON and safetensors. Files are written atomically, and damaged files give a clear error."""

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
    """Return the folder for data that can be recomputed or fetched again: ``$TINA_CACHE``, or ``~/.cache/tina_framework``."""
    named = os.environ.get("TINA_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "tina_framework"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. On success it is synced and renamed to `path`; otherwise it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        # safetensors writes with mode 0600, but others should be able to read a checkpoint.
        temporary.chmod(0o644)
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically, indented, with a final newline.

    Raises:
        ValueError: it contains NaN or infinity, which JSON does not have.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def home_path(path: str) -> Path:
    """Return the path with ``~`` replaced by the home folder; unchanged if the system does not know the user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        CheckpointError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"'{path}' does not exist; the folder is incomplete or the path is wrong.") from None
    # ValueError: not UTF-8, not JSON, or an integer with thousands of digits.
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' cannot be read as JSON ({error}); restore or rebuild it.") from error


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors atomically. They are copied to the CPU and made contiguous.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, metadata=dict(metadata or {}))
        except SafetensorError as error:  # safetensors' own error, also for a full disk
            raise OSError(f"'{path}' could not be written: {error}") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file, on the CPU.

    Raises:
        CheckpointError: the file is missing, truncated, or not safetensors.
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
    """Read the metadata in the header of a safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated, or not safetensors.
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
            f"lacks {', '.join(missing[:3])}" if missing else "",
            f"has unknown {', '.join(extra[:3])}" if extra else "",
        ]
        raise CheckpointError(
            f"{source} {' and '.join(p for p in parts if p)}; it was altered, or another program wrote it."
        )
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != tuple(shape):
            raise CheckpointError(f"{source}: '{name}' has shape {tuple(tensor.shape)}, expected {tuple(shape)}.")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{source}: '{name}' holds values that are not finite; restore or rebuild it.")
