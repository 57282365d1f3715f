"""Tensors that several processes of a machine share, in a file that all of them map into memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import TrainingError
from tina_framework.storage.temporary import sweep, temporary_file

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SharedTensors", "shared"]

_NAME = "tina-shared-tensors"
_ALIGNMENT = 64


@dataclass(frozen=True)
class SharedTensors:
    """Where shared tensors lie. It may be sent to another process of the machine.

    Attributes:
        path: the file.
        places: name -> name of the type, shape and first byte in the file.
        size: bytes of the file.
    """

    path: str
    places: dict[str, tuple[str, tuple[int, ...], int]]
    size: int

    def open(self) -> dict[str, Tensor]:
        """Map the tensors into memory. The file may be removed afterwards.

        A process that changes a tensor in place gets its own copy of the changed pages. Other processes do not see the change.

        Raises:
            OSError: the file cannot be read, or it has another size.
        """
        import torch

        found = Path(self.path).stat().st_size
        if found != self.size:
            raise OSError(f"'{self.path}' has {found} bytes instead of {self.size}")
        storage: Any = torch.UntypedStorage.from_file(self.path, shared=False, nbytes=self.size)
        tensors = {}
        for name, (kind, shape, start) in self.places.items():
            tensor = torch.empty(0, dtype=getattr(torch, kind))
            strides = torch.empty(shape, device="meta").stride()
            tensors[name] = tensor.set_(storage, start // tensor.element_size(), shape, strides)
        return tensors


@contextlib.contextmanager
def shared(tensors: Mapping[str, Tensor]) -> Iterator[SharedTensors]:
    """Write tensors into a temporary file of this machine, and yield where they lie. The file is removed at the end.

    Files of processes that were killed are removed at the next call. Only this user may read the file.

    Raises:
        TrainingError: the file cannot be written, usually because the disk is full.
    """
    path = Path(tempfile.gettempdir()) / _NAME
    sweep(path)
    with contextlib.ExitStack() as stack:
        try:
            temporary, handle = stack.enter_context(temporary_file(path))
            if hasattr(os, "fchmod"):
                os.fchmod(handle, 0o600)
            written = _write(temporary, tensors)
        except OSError as error:
            raise TrainingError(
                f"The pictures cannot be written to '{path.parent}', where the processes share them ({error.strerror or error}). "
                "Free some space there, or set TMPDIR to a folder on another disk."
            ) from error
        del tensors  # the processes map the file instead
        yield written


def _write(path: Path, tensors: Mapping[str, Tensor]) -> SharedTensors:
    places, end = {}, 0
    with path.open("r+b") as file:
        for name, tensor in tensors.items():
            end += -end % _ALIGNMENT
            places[name] = (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), end)
            file.seek(end)
            file.write(_bytes(tensor))
            end += tensor.numel() * tensor.dtype.itemsize
        end = max(end, 1)  # an empty file cannot be mapped
        file.truncate(end)
    return SharedTensors(str(path), places, end)


def _bytes(tensor: Tensor) -> memoryview:
    import torch

    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
