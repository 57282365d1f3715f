"""Write, read and check the folder of a classifier.

It holds `config.json`, `model.safetensors` and a model card. With `include_trunk` it also holds `trunk.safetensors`, the weights of the
frozen trunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tina_framework.classifier.abstention import read_threshold, write_threshold
from tina_framework.classifier.card import classifier_card
from tina_framework.errors import CheckpointError, ConfigError, PluginError, shorten
from tina_framework.images import FIT, Preprocessing
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.required import PLUGINS, plugin_hint, plugins_of
from tina_framework.storage.card import CARD
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.exchange import read_consistently, restore_missing
from tina_framework.storage.files import check_tensors, read_hashed, write_json, write_safetensors
from tina_framework.storage.folders import (
    CONFIG,
    WEIGHTS,
    check_hash,
    holds_only,
    read_config,
    writing_folder,
)
from tina_framework.storage.hub import HubAccess, download_model, split_revision, with_revision
from tina_framework.storage.paths import user_path
from tina_framework.targets.ensemble import checked_groups, member_names
from tina_framework.targets.saved_trunk import with_saved_trunk
from tina_framework.targets.trunk import check_trunk_name, check_trunk_record, load_trunk, trunk_record, trunk_state

__all__ = [
    "DTYPES",
    "FORMAT",
    "ClassifierConfig",
    "check_dtype",
    "check_has_trunk",
    "find_folder",
    "read_folder",
    "replaceable",
    "write_folder",
]

FORMAT = "tina-classifier"
FORMAT_VERSION = 1
_NEEDS = f"{CONFIG} with format '{FORMAT}' and {WEIGHTS}, as `tina generate` and save_pretrained write them"

TRUNK_WEIGHTS = "trunk.safetensors"
DTYPES = {"float32": torch.float32, "float16": torch.float16}
"""The types in which weights can be stored."""

_FILES = frozenset({CONFIG, WEIGHTS, TRUNK_WEIGHTS, CARD, ".gitattributes"})
_TRUNK = "trunk"
_ABSTENTION = "abstention"
_MEMBERS = "members"
_KEYS = ("architecture", "class_names", "preprocessing", "provenance")
_LABELS = ("id2label", "label2id")
"""The class names as Hugging Face libraries write them. Folders from before may lack them."""


@dataclass(frozen=True)
class ClassifierConfig:
    """Everything about a classifier except its tensors.

    Attributes:
        architecture: the architecture, or its registry name. A frozen trunk is recorded only if the object is given.
        class_names: one per output.
        preprocessing: how pictures are turned into the input.
        provenance: any JSON values.
        abstention_threshold: the score below which it may abstain; None: unknown.
        members: the class indices of each network of an ensemble; None: one network.
    """

    architecture: str | TargetArchitecture
    class_names: Sequence[str]
    preprocessing: Preprocessing
    provenance: Mapping[str, Any]
    abstention_threshold: float | None = None
    members: Sequence[Sequence[int]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of `config.json`, without the hashes of the weights."""
        from tina_framework import __version__

        architecture = None if isinstance(self.architecture, str) else self.architecture
        name = self.architecture if isinstance(self.architecture, str) else self.architecture.name
        # The registry need not have it: the classifier may have been made from an unregistered object.
        plugins = plugins_of(architectures=name) if name.partition(":")[0] in registries().architectures else {}
        trunk = None if architecture is None else trunk_record(architecture)
        threshold = self.abstention_threshold
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "architecture": name,
            "class_names": list(self.class_names),
            **_labels(self.class_names),
            "preprocessing": self.preprocessing.to_json(),
            "provenance": {"package_version": __version__, **self.provenance},
            **({} if threshold is None else {_ABSTENTION: write_threshold(threshold)}),
            **({} if self.members is None else {_MEMBERS: [list(group) for group in self.members]}),
            **({} if trunk is None else {_TRUNK: trunk}),
            **plugins,
        }


def _labels(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the keys `_LABELS`."""
    return {
        "id2label": dict(zip(map(str, range(len(names))), names, strict=True)),
        "label2id": {n: k for k, n in enumerate(names)},
    }


def write_folder(
    folder: Path,
    config: ClassifierConfig,
    state: Mapping[str, Tensor],
    *,
    include_trunk: bool = False,
    dtype: torch.dtype | None = None,
    hub_id: str | None = None,
) -> None:
    """Write the files of a classifier, atomically. An existing classifier folder is replaced.

    Args:
        folder: where to write.
        config: everything but the weights. With `include_trunk`, its architecture is an object with a trunk.
        state: the weights.
        include_trunk: also write the weights of the trunk.
        dtype: the type in which floating-point numbers are stored; None: the one that they have.
        hub_id: the repository that the folder is uploaded to, for the card.

    Raises:
        ConfigError: the folder holds something else.
        CheckpointError: a parameter is not finite, or too large for `dtype`.
    """
    parts = {WEIGHTS: _stored(state, dtype, "The classifier to be saved")}
    if include_trunk:
        assert not isinstance(config.architecture, str)
        assert config.architecture.trunk is not None
        trunk = config.architecture.trunk
        parts[TRUNK_WEIGHTS] = _stored(trunk_state(trunk), dtype, f"Trunk '{trunk.name}' to be saved")
    with writing_folder(folder, replaceable, "classifier") as new:
        sha256 = {file: write_safetensors(new / file, tensors, {"format": "pt"}) for file, tensors in parts.items()}
        values = config.to_dict() | {HASHES: sha256}
        write_json(new / CONFIG, with_digest(values, CONFIG))
        (new / CARD).write_text(_card(config, state, hub_id), encoding="utf-8", errors="backslashreplace")


def _card(config: ClassifierConfig, state: Mapping[str, Tensor], hub_id: str | None) -> str:
    architecture = config.architecture
    trunk = None if isinstance(architecture, str) else architecture.trunk
    return classifier_card(
        config.class_names,
        architecture if isinstance(architecture, str) else architecture.name,
        sum(tensor.numel() for tensor in state.values()),
        config.preprocessing,
        config.provenance,
        num_networks=1 if config.members is None else len(config.members),
        trunk=None if trunk is None else trunk.name,
        may_abstain=config.abstention_threshold is not None,
        hub_id=hub_id,
    )


def check_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Return the type in which weights are stored; None: the one that they have.

    Raises:
        ConfigError: weights cannot be stored in that type.
    """
    if dtype is None:
        return None
    name = str(dtype).removeprefix("torch.") if isinstance(dtype, str | torch.dtype) else ""
    if name not in DTYPES:
        raise ConfigError(f"The dtype is {shorten(dtype)}; weights can be stored as {' or '.join(DTYPES)}.")
    return DTYPES[name]


def check_has_trunk(architecture: str, trunk: FrozenTrunk | None) -> None:
    """Check that there is a trunk whose weights can be saved.

    Raises:
        ConfigError: there is none.
    """
    if trunk is None:
        raise ConfigError(
            f"Architecture '{architecture}' has no frozen trunk to include; save the classifier without one."
        )


def _stored(state: Mapping[str, Tensor], dtype: torch.dtype | None, what: str) -> dict[str, Tensor]:
    """Return checked tensors in the type in which they are written."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    check_tensors(state, shapes, what)
    if dtype is None:
        return dict(state)
    stored = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    try:
        check_tensors(stored, shapes, what)
    except CheckpointError as error:
        raise CheckpointError(
            f"{what} has a number that is too large for {str(dtype).removeprefix('torch.')}; save it in float32."
        ) from error
    return stored


def replaceable(path: Path) -> bool:
    """Return whether `path` is a classifier folder without other files."""
    return holds_only(path, FORMAT, _FILES)


def find_folder(name: str | Path, revision: str | None, access: HubAccess) -> Path:
    """Return the local folder of a classifier, downloading it if necessary.

    Args:
        name: an existing folder or a Hub id, ``owner/name`` or ``owner/name@revision``. A text is searched in this order; a
            `Path` is a folder.
        revision: branch, tag or commit of the Hub repository.
        access: how the Hub is read.

    Raises:
        ConfigError: the name is empty; a revision is given for something that has none, or two different revisions are given.
        CheckpointError: there is no such folder, or the Hub repository is no classifier of this framework.
        DownloadError: the Hub repository could not be downloaded.
    """
    if not isinstance(name, (str, Path)) or name == "" or "\0" in str(name):
        raise ConfigError(f"The classifier is {shorten(name)}; give a folder or a Hub id, 'owner/name'.")
    folder, parts = user_path(name), split_revision(name, revision) if isinstance(name, str) else None
    restore_missing(folder)
    if parts is None or folder.exists():
        with_revision(str(name), revision)  # a folder has none
        if isinstance(name, str) and not folder.exists():
            raise CheckpointError(
                f"'{name}' is not a folder, and no Hub id ('owner/name' or 'owner/name@revision'); a classifier folder holds {_NEEDS}."
            )
        return folder
    return download_model(*parts, _check_format, access)


def _check_format(folder: Path) -> None:
    """Check that the configuration in a folder is that of a classifier, before its weights are downloaded."""
    read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)


def read_folder(folder: Path) -> tuple[ClassifierConfig, TargetArchitecture, dict[str, Tensor]]:
    """Read and check the configuration, architecture and parameters in a folder.

    Raises:
        CheckpointError: the folder is something else, incomplete or altered.
    """
    return read_consistently(folder, _read_once)


def _read_once(folder: Path) -> tuple[ClassifierConfig, TargetArchitecture, dict[str, Tensor]]:
    if not folder.is_dir():
        raise CheckpointError(f"'{folder}' is not a folder; a classifier folder holds {_NEEDS}.")
    values = read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)
    path = folder / TRUNK_WEIGHTS
    # The digest covers the table of hashes. So a file that was removed is noticed, and one that was added is refused.
    has_trunk = path.is_file() or TRUNK_WEIGHTS in values[HASHES]
    source = f"'{folder / CONFIG}'"
    config, architecture = _checked(values, source, has_trunk)
    state, sha256 = read_hashed(folder / WEIGHTS)
    check_tensors(state, _shapes(config, architecture), f"'{folder / WEIGHTS}'")
    check_hash(folder / WEIGHTS, values, sha256)
    if has_trunk:
        original = check_trunk_name(values.get(_TRUNK), architecture, source)
        tensors, sha256 = read_hashed(path)
        check_hash(path, values, sha256)
        architecture = with_saved_trunk(architecture, original, tensors, sha256, f"'{path}'")
        assert architecture.trunk is not None
        load_trunk(architecture.trunk, torch.device("cpu"))  # checks names and shapes
        config = replace(config, architecture=architecture)
    return config, architecture, state


def _shapes(config: ClassifierConfig, architecture: TargetArchitecture) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor that the folder must hold."""
    spec = ParameterSpec(architecture)
    if config.members is None:
        return {info.name: info.shape for info in spec.parameters(len(config.class_names))}
    shapes: dict[str, tuple[int, ...]] = {}
    for index, group in enumerate(config.members):
        infos = spec.parameters(len(group))
        names = member_names(index, [info.name for info in infos])
        shapes |= {name: info.shape for name, info in zip(names, infos, strict=True)}
    return shapes


def _checked(values: Mapping[str, Any], source: str, has_trunk: bool) -> tuple[ClassifierConfig, TargetArchitecture]:
    """Check every value of a `config.json`, and make the architecture that it names. The trunk's own weights are not needed if the
    folder has them."""
    unknown = sorted(
        values.keys() - {"format", "format_version", HASHES, PLUGINS, _TRUNK, _ABSTENTION, _MEMBERS, *_LABELS, *_KEYS}
    )
    missing = [key for key in _KEYS if key not in values]
    if unknown or missing:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown {', '.join(unknown)}"
        raise CheckpointError(f"{source} {what}; it was altered, or another program wrote it.")
    names = checked_names(values["class_names"], f"{source}: class_names", CheckpointError)
    for key, expected in _labels(names).items():
        if key in values and values[key] != expected:
            raise CheckpointError(
                f"{source}: {key} does not fit class_names. Change both alike, or remove id2label and label2id."
            )
    if not isinstance(values["architecture"], str) or not isinstance(values["provenance"], Mapping):
        raise CheckpointError(f"{source}: architecture must be a name and provenance a table; it was altered.")
    try:
        architecture = registries().architectures.create(values["architecture"])
    except (ConfigError, PluginError) as error:
        raise CheckpointError(
            f"{source} names an architecture that cannot be made: {error}{plugin_hint(values)}"
        ) from error
    if not isinstance(architecture, TargetArchitecture):
        raise CheckpointError(
            f"{source}: '{values['architecture']}' did not make a TargetArchitecture; report this to the author of its plugin."
        )
    if not has_trunk:
        check_trunk_record(values.get(_TRUNK), architecture, source)
    preprocessing = _preprocessing(values["preprocessing"], source)
    if preprocessing.input_shape != tuple(architecture.input_shape):
        raise CheckpointError(
            f"{source}: input_shape is {preprocessing.input_shape}, but '{architecture.name}' takes {architecture.input_shape}."
        )
    try:
        threshold = read_threshold(values[_ABSTENTION]) if _ABSTENTION in values else None
        members = checked_groups(values[_MEMBERS], len(names)) if _MEMBERS in values else None
    except ConfigError as error:
        raise CheckpointError(f"{source} is wrong: {error} It was altered, or another program wrote it.") from error
    config = ClassifierConfig(architecture, names, preprocessing, values["provenance"], threshold, members)
    return config, architecture


def _preprocessing(values: Any, source: str) -> Preprocessing:
    try:
        shape = tuple(int(length) for length in values["input_shape"])
        mean, std = (tuple(float(number) for number in values[key]) for key in ("mean", "std"))
        fine = (
            len(shape) == 3
            and len(mean) == len(std) == shape[0]
            and np.isfinite([*mean, *std]).all()
            and min(std) > 0
            and values.keys() - {"crop_pct"} == {"input_shape", "mean", "std", "fit"}
        )
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        fine = False
    if not fine:
        raise CheckpointError(
            f"{source}: preprocessing is {shorten(values)}; expected input_shape [C, H, W], mean and std of C numbers each, "
            f"fit '{FIT}', and perhaps crop_pct."
        )
    try:
        return Preprocessing((shape[0], shape[1], shape[2]), mean, std, values["fit"], values.get("crop_pct", 1.0))
    except ConfigError as error:
        raise CheckpointError(f"{source}: {error}") from error
