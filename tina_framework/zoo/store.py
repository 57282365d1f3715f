"""The zoo on disk: a generic model, p-Models in safetensors shards, and an index.

zoo.json               format, settings, class names, figures and SHA-256 of the generic models
generic.safetensors    the generic model, under the architecture's own parameter names
generic-0.5.safetensors, ...   generic models of narrower widths, if there are any
shards/shard-00000.safetensors, ...   flat parameter vectors (N,) under the model's id, entries in the header
index.json             classes and accuracies of every model; file, size and SHA-256 of every shard
models/                finished models of unfinished shards (while a zoo is being built)

Every safetensors file has the SHA-256 of its contents in its header. Every JSON file has its own; see `storage.digest`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.architecture_registry import split_width
from tina_framework.storage.files import check_tensors
from tina_framework.storage.parallel import in_threads
from tina_framework.storage.paths import user_path
from tina_framework.storage.remote import remote_address
from tina_framework.storage.tensor_file import Header, TensorFile
from tina_framework.storage.text import is_lfs_pointer
from tina_framework.targets.trunk import check_trunk_record
from tina_framework.zoo.index import INDEX, Index, empty_index, read_index
from tina_framework.zoo.manifest import (
    MANIFEST,
    Manifest,
    generic_file,
    generic_sha256,
    read_generic_tensors,
    read_manifest,
)
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
            for width in manifest.config.generic_widths:
                _check_is_there(folder, width)
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

    def narrowed(self, spec: ParameterSpec) -> Zoo:
        """Return this zoo as one of a narrower width of its family.

        Its generic model is the one of that width. It has no p-Models, because those of the zoo are of its own width.

        Args:
            spec: of the narrower architecture. With the zoo's own architecture, the zoo itself is returned.

        Raises:
            ConfigError: the architecture is of another family, or the zoo has no generic model of this width.
            CheckpointError: the generic model is missing or damaged.
        """
        if spec.architecture.name == self.architecture:
            return self
        if spec.architecture.family != split_width(self.architecture)[0]:
            raise ConfigError(
                f"Zoo '{self.place}' holds '{self.architecture}' networks, so it has no '{spec.architecture.name}'; "
                "choose a zoo of that architecture."
            )
        widths, width = self.config.generic_widths, spec.architecture.width
        if width not in widths:
            others = (
                f", and of the generic_widths {', '.join(f'{other:g}' for other in widths)}" if widths else " alone"
            )
            raise ConfigError(
                f"Zoo '{self.place}' has generic models of '{self.architecture}'{others}, so it has no "
                f"'{spec.architecture.name}'; choose another width, or build a zoo whose generic_widths name this one."
            )
        config = replace(
            self.config,
            architecture=spec.architecture.name,
            generic=self.config.narrow_recipe,
            generic_widths=(),
            narrow={},
            num_models=0,
        )
        manifest = replace(self.manifest, config=config, figures=_figures_at(self.figures, width))
        generic = self.generic_at(width)
        return Zoo(self.folder, manifest, empty_index(manifest), generic, self.place, self._fetch)

    def generic_at(self, width: float) -> dict[str, Tensor]:
        """Read the generic model of one of the zoo's `generic_widths`, with outputs for all `class_names`.

        Raises:
            CheckpointError: it is missing, or it is not the one that ``zoo.json`` records.
        """
        if self._fetch is not None:
            self._fetch(generic_file(width), generic_sha256(self.folder, self.manifest, width))
        return read_generic_tensors(self.folder, self.manifest, width)

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
            CheckpointError: a shard or a generic model is damaged.
        """
        for width in self.config.generic_widths:
            self.generic_at(width)
        for _ in in_threads(lambda number: self._file(number).verify(), range(len(self._files))):
            pass

    def _check_header(self, number: int, header: Header) -> None:
        path = shard_path(self.folder, number)
        check_header(path, self.config, number, header, self.index.entries, self.index.parameters)

    def states(self, spec: ParameterSpec) -> Iterator[dict[str, Tensor]]:
        """Yield the p-Models as state dicts, by id."""
        for model_id, flat in self.flats(range(len(self))):
            yield spec.unflatten(flat, int(self.index.entries.counts[model_id]))


def _figures_at(figures: Mapping[str, Any], width: float) -> dict[str, Any]:
    """Return the figures of a narrower generic model, if it was measured."""
    generic = figures.get("generic")
    by_width = generic.get("validation_by_width") if isinstance(generic, Mapping) else None
    found = by_width.get(f"{width:g}") if isinstance(by_width, Mapping) else None
    return {} if found is None else {"generic": {"validation": found}}


def _check_is_there(folder: Path, width: float) -> None:
    if not (folder / generic_file(width)).is_file():
        raise CheckpointError(
            f"The zoo '{folder}' lacks {generic_file(width)}, its generic model of width {width:g}; restore or rebuild it."
        )


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
