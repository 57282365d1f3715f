"""The zoo on disk: a generic model, p-Models in safetensors shards, and an index.

zoo.json               format, settings, class names, figures and SHA-256 of the generic model
generic.safetensors    the generic model, under the architecture's own parameter names
shards/shard-00000.safetensors, ...   flat parameter vectors (N,) under the model's id, entries in the header
index.json             classes and accuracies of every model; file, size and SHA-256 of every shard
models/                finished models of unfinished shards (while a zoo is being built)

Every safetensors file has the SHA-256 of its contents in its header. Every JSON file has its own; see `storage.digest`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from tina_framework.errors import CheckpointError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import check_tensors
from tina_framework.storage.parallel import in_threads
from tina_framework.storage.paths import user_path
from tina_framework.storage.remote import remote_address
from tina_framework.storage.tensor_file import Header, TensorFile
from tina_framework.storage.text import is_lfs_pointer
from tina_framework.targets.trunk import check_trunk_record
from tina_framework.zoo.index import INDEX, Index, read_index
from tina_framework.zoo.manifest import MANIFEST, Manifest, read_generic_tensors, read_manifest
from tina_framework.zoo.remote import cached_zoo
from tina_framework.zoo.shards import check_header, model_name, shard_path

__all__ = ["Zoo"]


class Zoo:
    """A finished zoo, read only. Use `Zoo.open`.

    The weights stay on disk: p-Models are read when they are asked for. A shard is compared with its SHA-256 before its
    first p-Model is read.

    Attributes:
        folder: the folder it is read from. For a remote zoo this is a cache on this machine.
        place: what the user gave: the folder, or the address of a remote zoo.
        config: the settings it was built with.
        class_names: the classes of the data set, in the order of their labels.
        architecture: registry name of the architecture.
        entries: one `ZooEntry` for each p-Model, by id.
        generic: state dict of the generic model, with outputs for all `class_names`.
        figures: what was measured of the generic model, free JSON.
        manifest: the contents of ``zoo.json``.
        index: the contents of ``index.json``.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        index: Index,
        generic: dict[str, Tensor],
        place: str,
        fetch: Callable[[str, str], None] | None,
    ) -> None:
        self.folder = folder
        self.place = place
        self._fetch = fetch
        self.config = manifest.config
        self.class_names = manifest.class_names
        self.figures = manifest.figures
        self.manifest = manifest
        self.index = index
        self.architecture = self.config.architecture
        self.generic = generic
        self.entries = index.entries
        self._files = [
            TensorFile(shard_path(folder, number), shard.sha256, INDEX, functools.partial(self._check_header, number))
            for number, shard in enumerate(index.shards)
        ]

    @classmethod
    def open(cls, folder: Path | str) -> Zoo:
        """Open a zoo and check that it is complete.

        Only the sizes of the shards are compared here. See `flat`, and `verify`.

        Args:
            folder: the folder of the zoo; or the address of a remote one, such as ``s3://bucket/zoo``, which needs the extra
                `remote`. Shards of a remote zoo are fetched whole when their first p-Model is read, and kept in
                `cache_folder()`.

        Raises:
            CheckpointError: the folder is no zoo, is not finished, or was altered; or a shard is missing or of another
                size; or a remote folder cannot be read.
            ConfigError, DependencyError: the address is not valid, or a package is missing.
        """
        address = remote_address(folder)
        if address is not None:
            cached, fetch = cached_zoo(address)
            try:
                return cls._open(cached, address, fetch)
            except CheckpointError as error:
                raise CheckpointError(str(error).replace(str(cached), address)) from error
        folder = user_path(folder)
        if not (folder / MANIFEST).is_file():
            raise CheckpointError(f"'{folder}' is not a zoo: it has no zoo.json. Build one with `tina zoo build`.")
        return cls._open(folder, str(folder), None)

    @classmethod
    def _open(cls, folder: Path, place: str, fetch: Callable[[str, str], None] | None) -> Zoo:
        manifest = read_manifest(folder)
        index = read_index(folder, manifest)
        if fetch is None:
            for number, shard in enumerate(index.shards):
                _check_size(folder, number, shard.bytes, len(manifest.config.shard_ids(number)))
        return cls(folder, manifest, index, read_generic_tensors(folder, manifest), place, fetch)

    def __len__(self) -> int:
        return len(self.entries)

    def check(self, spec: ParameterSpec) -> None:
        """Compare the zoo with the architecture.

        Raises:
            CheckpointError: names, shapes or values do not fit the architecture, or the frozen trunk is another one.
        """
        check_trunk_record(self.manifest.trunk, spec.architecture, f"Zoo '{self.folder}'")
        shapes = {info.name: info.shape for info in spec.parameters(len(self.class_names))}
        check_tensors(self.generic, shapes, f"The generic model of zoo '{self.folder}'")
        for count, found in self.index.parameters.items():
            expected = spec.num_parameters(count)
            if found != expected:
                raise CheckpointError(
                    f"The p-Models of zoo '{self.folder}' with {count} classes have {found} parameters, but "
                    f"'{self.architecture}' has {expected}; rebuild the zoo."
                )

    def flat(self, model_id: int) -> Tensor:
        """Return the float32 parameters (N,) of a p-Model.

        Raises:
            CheckpointError: its shard is damaged.
            KeyError: there is no such model.
        """
        if not 0 <= model_id < len(self.index.entries):
            raise KeyError(model_id)
        [flat] = self._read([model_id])
        return flat

    def flats(self, model_ids: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """Yield id and parameters of some p-Models, in the order given. Neighbours in a shard are read at once.

        Raises:
            CheckpointError: a shard is damaged.
        """
        for block in self.blocks(model_ids):
            yield from zip(block, self._read(block), strict=True)

    def blocks(self, model_ids: Sequence[int], most: int = 64) -> list[Sequence[int]]:
        """Cut ids, without changing their order, into parts of at most `most` that lie in one shard each."""
        size, found, start = self.config.shard_size, [], 0
        for place in range(1, len(model_ids) + 1):
            ends = place == len(model_ids) or model_ids[place] // size != model_ids[start] // size
            if ends or place - start == most:
                found.append(model_ids[start:place])
                start = place
        return found

    def _read(self, model_ids: Sequence[int]) -> list[Tensor]:
        """Read some p-Models of one shard."""
        file = self._file(model_ids[0] // self.config.shard_size)
        # Exported zoos hold half precision.
        return [flat.float() for flat in file.read([model_name(model_id) for model_id in model_ids])]

    def _file(self, number: int) -> TensorFile:
        file = self._files[number]
        if self._fetch is not None:
            self._fetch(f"shards/{file.path.name}", self.index.shards[number].sha256)
        return file

    def verify(self) -> None:
        """Compare all weights with their SHA-256. `flat` does it for those that it reads.

        Raises:
            CheckpointError: a shard is damaged.
        """
        for _ in in_threads(lambda number: self._file(number).verify(), range(len(self._files))):
            pass

    def _check_header(self, number: int, header: Header) -> None:
        path = shard_path(self.folder, number)
        check_header(path, self.config, number, header, self.index.entries, self.index.parameters)

    def states(self, spec: ParameterSpec) -> Iterator[dict[str, Tensor]]:
        """Yield the p-Models as state dicts, by id."""
        for model_id, flat in self.flats(range(len(self))):
            yield spec.unflatten(flat, int(self.index.entries.counts[model_id]))


def _check_size(folder: Path, number: int, size: int, models: int) -> None:
    path = shard_path(folder, number)
    try:
        found = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read ({error.strerror}); check its permissions.") from error
    if found is None:
        raise CheckpointError(
            f"The zoo '{folder}' lacks shards/{path.name} ({models} models); "
            "restore it, or run the same `tina zoo build` again, which trains the missing models."
        )
    if found != size:
        if is_lfs_pointer(path):
            raise CheckpointError(
                f"'{path}' is a Git LFS pointer instead of the weights; run `git lfs pull` in its repository."
            )
        raise CheckpointError(
            f"'{path}' has {found:,} bytes instead of the {size:,} that {INDEX} records: it was truncated or altered. "
            "Remove it, and run the same `tina zoo build` again, which rebuilds it."
        )
