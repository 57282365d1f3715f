"""Read photographs from class folders or a tar archive, and keep their features on disk.

Shapes: N photographs, E = 1,280 features.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from tina_framework import TargetArchitecture
from tina_framework.errors import CheckpointError, DataError
from tina_framework.images import Preprocessing, class_folders, picture_files
from tina_framework.storage.files import read_digested, write_safetensors
from tina_framework.storage.paths import cache_folder
from tina_framework.targets.trunk import trunk_features, trunk_record

__all__ = ["Photographs", "features_of", "read_classes"]

_BATCH = 32
_ENDINGS = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs of some classes as the frozen network sees them.

    Attributes:
        classes: the names of the folders, sorted.
        features_NE: float32.
        labels_N: int64, indices of `classes`.
    """

    classes: tuple[str, ...]
    features_NE: Tensor
    labels_N: Tensor

    def rows(self, task: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the indices of a task's photographs, and which of the task's classes each one shows."""
        slots = torch.full((len(self.classes),), -1)
        slots[torch.tensor(task)] = torch.arange(len(task))
        found = slots[self.labels_N]
        rows = (found >= 0).nonzero().flatten()
        return rows, found[rows]


def read_classes(path: Path) -> dict[str, list[bytes]]:
    """Return folder name -> contents of its picture files, both sorted by name.

    Args:
        path: a folder with one folder a class, or a tar archive of it.

    Raises:
        DataError: there is no such file or folder, or fewer than two classes.
    """
    if path.is_dir():
        found = {name: [file.read_bytes() for file in picture_files(folder)] for name, folder in class_folders(path)}
    else:
        found = _read_tar(path)
    found = {name: files for name, files in sorted(found.items()) if files}
    if len(found) < 2:
        raise DataError(
            f"'{path}' has {len(found)} folders with pictures; give a folder or tar file with one folder a class."
        )
    return found


def _read_tar(path: Path) -> dict[str, list[bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    try:
        # The archive is read member by member. Nothing is unpacked to disk, so names in it cannot lead anywhere.
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.suffix.lower() not in _ENDINGS or len(name.parts) < 2:
                    continue
                stream = archive.extractfile(member)
                assert stream is not None, "a regular file has contents"
                found.setdefault(name.parent.name, {})[name.name] = stream.read()
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"'{path}' cannot be read as a tar file ({error}); give a folder or a tar file.") from error
    return {name: [files[key] for key in sorted(files)] for name, files in found.items()}


def features_of(architecture: TargetArchitecture, classes: Mapping[str, Sequence[bytes]]) -> Photographs:
    """Return the features of all pictures. They are computed once and then read from the cache folder.

    The cache folder is that of the framework (`$TINA_CACHE`). The key covers the pictures, the trunk and the preprocessing.
    """
    files = [file for group in classes.values() for file in group]
    labels = torch.cat([torch.full((len(group),), label) for label, group in enumerate(classes.values())])
    look = Preprocessing.of(architecture)
    digest = hashlib.sha256(repr((trunk_record(architecture), look)).encode())
    for file in files:
        digest.update(hashlib.sha256(file).digest())
    path = cache_folder() / "benchmarks" / f"{digest.hexdigest()}.safetensors"
    with contextlib.suppress(CheckpointError, KeyError):
        return Photographs(tuple(classes), read_digested(path)[0]["features"], labels)
    parts = [trunk_features(architecture, look(pixels)).cpu() for pixels in look.batches(files, _BATCH)]
    features_NE = torch.cat(parts)
    with contextlib.suppress(OSError, CheckpointError):  # the cache only saves time
        write_safetensors(path, {"features": features_NE}, digest=True)
    return Photographs(tuple(classes), features_NE, labels)
