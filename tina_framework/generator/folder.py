"""Find, read and write generator folders.

A folder holds `config.json`, `model.safetensors` (``denoiser.*``, ``normalizer.*``, ``condition.*``) and a model card. It may
also hold `generic.safetensors`: the generic network for all classes of the data set, which evaluation compares with.
A generator for several architectures has ``target.NAME.normalizer.*`` and ``target.NAME.rows.*`` for each of them instead of
``normalizer.*``.

Large weights are split as Hugging Face libraries do it: `model-00001-of-00002.safetensors` and so on, with a table of tensors and
their files in `model.safetensors.index.json`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tina_framework.denoiser.described import keeps_full_precision
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.row_forecast import RowForecast
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import CheckpointError, ConfigError, DataError, UnknownNameError, shorten
from tina_framework.generator.card import model_card
from tina_framework.generator.components import make_spec, make_tokenizer
from tina_framework.generator.config import FORMAT, FORMAT_VERSION, GeneratorConfig
from tina_framework.generator.target import GeneratorTarget
from tina_framework.images import read_fit_settings
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.entry_points import DISTRIBUTION
from tina_framework.plugin.missing_dependency import extra_named
from tina_framework.plugin.required import PLUGINS, plugin_hint, plugins_of
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.row_retrieval import RowRetrieval
from tina_framework.storage.card import CARD
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.exchange import read_consistently, restore_missing
from tina_framework.storage.files import check_tensors, read_hashed, read_json, write_json, write_safetensors
from tina_framework.storage.folders import (
    CONFIG,
    WEIGHTS,
    check_hash,
    hashes,
    holds_only,
    read_config,
    writing_folder,
)
from tina_framework.storage.hub import HubAccess, download_model, split_revision, with_revision
from tina_framework.storage.paths import user_path
from tina_framework.targets.trunk import check_trunk_record, trunk_record

if TYPE_CHECKING:
    from huggingface_hub import StateDictSplit

__all__ = [
    "MAX_SHARD_SIZE",
    "GeneratorParts",
    "find_folder",
    "provider_of",
    "read_dtype",
    "read_folder",
    "read_generator_config",
    "write_folder",
]

GENERIC = "generic.safetensors"
TRUNK = "trunk"
WEIGHTS_INDEX = "model.safetensors.index.json"
MAX_SHARD_SIZE = "5GB"
"""How large a file of weights may become before they are split: the default of Hugging Face libraries."""

_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_FILES = frozenset({CONFIG, WEIGHTS, WEIGHTS_INDEX, GENERIC, CARD, ".gitattributes"})
_NEEDS = f"{CONFIG} with format '{FORMAT}' and {WEIGHTS}, as Generator.save_pretrained writes them"


@dataclass(frozen=True)
class GeneratorParts:
    """The checked contents of a folder.

    Attributes:
        config, denoiser, condition_space: of the generator.
        normalizer: that of the default architecture.
        generic: the generic network; None if the folder has none.
        targets: architecture -> its parts, if the generator writes several; else empty.
    """

    config: GeneratorConfig
    denoiser: Denoiser
    normalizer: Normalizer
    condition_space: ConditionSpace
    generic: dict[str, Tensor] | None
    targets: Mapping[str, GeneratorTarget] = field(default_factory=dict)


def find_folder(name: str, revision: str | None = None, access: HubAccess | None = None) -> Path:
    """Return the local folder of a generator, downloading it if necessary.

    Args:
        name: a registered name, an existing folder or a Hub id, ``owner/name`` or ``owner/name@revision``. A registered name
            comes first, so that a folder in the working directory cannot take its place. Write ``./NAME`` for the folder.
        revision: branch, tag or commit of the Hub repository.
        access: how the Hub is read; None: as its client is set up.

    Raises:
        ConfigError: a revision is given for something that has none, or two different revisions are given.
        CheckpointError: the Hub repository is not a generator of this framework.
        DownloadError: the Hub repository could not be downloaded.
        UnknownNameError: `name` is none of the three.
        PluginError: the package that registered the name lacks the folder.
    """
    generators = registries().generators
    is_registered = name in generators
    if name and not is_registered:
        restore_missing(user_path(name))
    # The name may be that of an extra which is not installed. A folder of pictures with that name must not hide the advice.
    advice = None if is_registered else extra_named(name, DISTRIBUTION)
    is_folder = bool(name) and user_path(name).is_dir()
    if is_folder and advice is not None:
        is_folder = (user_path(name) / CONFIG).is_file()
    if is_registered or is_folder:
        with_revision(name, revision)  # neither has revisions
        folder: Path = generators.target(name) if is_registered else user_path(name)
        return folder
    parts = split_revision(name, revision)
    if parts is not None:
        return download_model(*parts, _check_format, access or HubAccess())
    # An extra may be named after the data of a generator: `cifar80` brings `cifar80-cnn`.
    advice = advice or extra_named(name.partition("-")[0], DISTRIBUTION)
    hint = "" if advice is None else f" {advice}"
    raise UnknownNameError(
        f"{generators.unknown(name)}{hint} Otherwise give an existing folder or a Hub id, 'owner/name' or 'owner/name@revision'."
    )


def _check_format(folder: Path) -> None:
    """Check that the configuration in a folder is that of a generator, before its weights are downloaded."""
    read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)


def provider_of(name: str) -> str | None:
    """Return the distribution that provides the generator which `find_folder` finds under a name.

    Returns:
        None for a folder, a Hub id, and a name that the running program registered.
    """
    generators = registries().generators
    return generators.entry(name).distribution if name in generators else None


def read_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return a type of weights: torch's own, or the one with that name.

    Raises:
        ConfigError: it is none of float32, bfloat16 and float16.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in ("float32", "bfloat16", "float16"):
        raise ConfigError(f"dtype is {shorten(name)}; choose float32, bfloat16 or float16.")
    found: torch.dtype = getattr(torch, name)
    return found


def read_folder(folder: Path, device: torch.device | None = None, dtype: torch.dtype = torch.float32) -> GeneratorParts:
    """Read a generator folder.

    Args:
        folder: the folder.
        device: where the denoiser's weights go, tensor by tensor; None: the CPU. All other tensors stay on the CPU.
        dtype: the type of the denoiser's weights. All other tensors are in float32.

    Raises:
        CheckpointError: the folder is not a generator, is incomplete or altered, or names a component that is not registered.
    """

    def convert(name: str, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor  # refused later, with the name of the file
        if not name.startswith("denoiser."):
            return tensor.to(torch.float32)
        return tensor.to(device, torch.float32 if keeps_full_precision(name) else dtype)

    return read_consistently(folder, lambda path: _read_once(path, convert))


def read_generator_config(folder: Path) -> GeneratorConfig:
    """Read the configuration of a generator folder, and none of its weights.

    Raises:
        CheckpointError: the folder is not a generator, or its configuration is wrong.
    """
    return _config_of(folder, read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS))


def _config_of(folder: Path, values: Mapping[str, Any]) -> GeneratorConfig:
    """Return the configuration among the contents of `config.json`."""
    return GeneratorConfig.from_dict(
        {key: value for key, value in values.items() if key not in (HASHES, PLUGINS, TRUNK)}, f"'{folder / CONFIG}'"
    )


def _read_once(folder: Path, convert: Callable[[str, Tensor], Tensor]) -> GeneratorParts:
    source = f"'{folder / CONFIG}'"
    values = read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)
    config = _config_of(folder, values)
    try:
        spec, tokenizer = make_spec(config), make_tokenizer(config)
        specs = {name: make_spec(config, name) for name in config.architectures}
        _check_names(specs)
        registries().schedulers.create(config.scheduler["name"], **config.scheduler["config"])
        registries().encoders.entry(config.default_encoder.partition(":")[0])
        layout = tokenizer.layout(spec, config.max_classes, config.denoiser.max_classes)
    # Components of plugins may raise any of these for settings that they do not know.
    except (ConfigError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{source} names a component that cannot be created: {error}{plugin_hint(values)}"
        ) from error
    check_trunk_record(values.get(TRUNK), spec.architecture, source)
    crop_pct = read_fit_settings(config.preprocessing)
    for one in (spec, *specs.values()):
        if crop_pct != one.architecture.crop_pct:
            raise CheckpointError(
                f"{source} was trained on pictures with crop_pct {crop_pct}, but the installed architecture "
                f"'{one.architecture.name}' has {one.architecture.crop_pct}; install the version of its plugin that it was made with."
            )
    sizes = config.denoiser
    expected = (layout.group_widths, layout.group_sizes, layout.token_width, layout.equivariant)
    if expected != (sizes.group_widths, sizes.group_sizes, sizes.token_width, sizes.equivariant):
        raise CheckpointError(
            f"{source}: the denoiser's token groups are not those of tokenizer '{tokenizer.name}' on '{config.architecture}'; "
            "it was altered, or another program wrote it."
        )
    # Built without memory: only names and shapes are needed, and the weights are assigned below.
    try:
        with torch.device("meta"):
            denoiser = Denoiser(config.denoiser)
    except (RuntimeError, OverflowError, ValueError) as error:
        raise CheckpointError(f"{source} describes a denoiser that cannot be built: {error}") from error
    shapes = {f"denoiser.{name}": tuple(tensor.shape) for name, tensor in denoiser.state_dict().items()}
    if specs:
        for name, other in specs.items():
            shapes |= {f"target.{name}.{part}": shape for part, shape in _target_shapes(config, other).items()}
    else:
        shapes |= {f"normalizer.{name}": shape for name, shape in Normalizer.shapes(spec, config.whitened).items()}
    shapes |= {f"condition.{name}": shape for name, shape in condition_shapes(config).items()}
    tensors = _read_weights(folder, shapes, values, convert)
    denoiser.load_state_dict(_without_prefix(tensors, "denoiser."), assign=True)
    denoiser.eval()
    targets = {
        name: _read_target(config, other, _without_prefix(tensors, f"target.{name}.")) for name, other in specs.items()
    }
    if targets:
        normalizer = targets[config.architecture].normalizer
    else:
        normalizer = Normalizer.from_tensors(spec, _without_prefix(tensors, "normalizer."), config.whitened)
    space = make_space(config, _without_prefix(tensors, "condition."))
    generic = None
    # The digest covers the table of hashes. So a file that was removed is noticed.
    if (folder / GENERIC).is_file() or GENERIC in values[HASHES]:
        infos = spec.parameters(len(config.class_names))
        generic = _read_tensors(folder / GENERIC, {info.name: info.shape for info in infos}, values, convert)
    return GeneratorParts(config, denoiser, normalizer, space, generic, targets)


def _check_names(specs: Mapping[str, ParameterSpec]) -> None:
    """Refuse an architecture that has another name than its parts.

    Raises:
        ConfigError: a name is one of several ways to write the name of an architecture.
    """
    for name, spec in specs.items():
        if spec.architecture.name != name:
            raise ConfigError(f"the architecture {shorten(name)} is called {shorten(spec.architecture.name)}")


def _target_shapes(config: GeneratorConfig, spec: ParameterSpec) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the tensors of one of several architectures."""
    of_normalizer = Normalizer.shapes(spec, config.whitened_weights(spec.architecture.name))
    of_rows = RowForecast.shapes(spec.class_size, config.denoiser.condition_dim)
    shapes = {f"normalizer.{name}": shape for name, shape in of_normalizer.items()}
    return shapes | {f"rows.{name}": shape for name, shape in of_rows.items()}


def _read_target(config: GeneratorConfig, spec: ParameterSpec, tensors: Mapping[str, Tensor]) -> GeneratorTarget:
    """Return the parts of a generator that belong to one architecture.

    Raises:
        CheckpointError: a value is not valid.
    """
    whitened = config.whitened_weights(spec.architecture.name)
    return GeneratorTarget(
        Normalizer.from_tensors(spec, _without_prefix(tensors, "normalizer."), whitened),
        RowForecast.from_tensors(
            _without_prefix(tensors, "rows."),
            spec.class_size,
            config.denoiser.condition_dim,
            config.shares(spec.architecture.name),
        ),
    )


def _target_tensors(targets: Mapping[str, GeneratorTarget]) -> dict[str, Tensor]:
    """Return the tensors of all architectures, under the names that they have in a folder."""
    found: dict[str, Tensor] = {}
    for name, target in targets.items():
        assert target.rows is not None
        found |= {f"target.{name}.normalizer.{part}": tensor for part, tensor in target.normalizer.state_dict().items()}
        found |= {f"target.{name}.rows.{part}": tensor for part, tensor in target.rows.state_dict().items()}
    return found


def condition_shapes(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the tensors that `make_space` needs."""
    recall, width = config.condition.get("recall"), config.denoiser.condition_dim
    if recall is None:
        return {"mean": (width,)}
    row = config.denoiser.group_widths[config.denoiser.class_group]
    width -= 1  # the denoiser's last input is how unlike the known classes a class is
    return {"mean": (width,), "recall.keys": (recall["classes"], width), "recall.rows": (recall["classes"], row)}


def make_space(config: GeneratorConfig, tensors: Mapping[str, Tensor]) -> ConditionSpace:
    """Return the condition space of a folder.

    Raises:
        CheckpointError: the values are not valid.
    """
    try:
        recall = config.condition.get("recall")
        row_retrieval = (
            None
            if recall is None
            else RowRetrieval.from_tensors(
                _without_prefix(tensors, "recall."), recall["temperature"], recall["strength"]
            )
        )
        return ConditionSpace(config.condition["space"], tensors["mean"], config.condition["scale"], row_retrieval)
    except DataError as error:
        raise CheckpointError(f"The condition space of the generator is damaged: {error}") from error


def _read_weights(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, Any],
    convert: Callable[[str, Tensor], Tensor],
) -> dict[str, Tensor]:
    """Read the weights from one file or from several."""
    path = folder / WEIGHTS_INDEX
    if not path.is_file() and WEIGHTS_INDEX not in values[HASHES]:
        return _read_tensors(folder / WEIGHTS, shapes, values, convert)
    index = read_json(path)
    check_hash(path, values)
    files = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(files, Mapping) or not all(isinstance(f, str) and _SHARD.fullmatch(f) for f in files.values()):
        raise CheckpointError(f"'{path}' has no table 'weight_map' of tensors and their files; restore or rebuild it.")
    odd = sorted(files.keys() ^ shapes.keys())
    if odd:
        raise CheckpointError(
            f"'{path}': the tensor {shorten(odd[0])} is missing or unknown; it was altered, or another program wrote it."
        )
    tensors: dict[str, Tensor] = {}
    for file in sorted(set(files.values())):
        expected = {name: shapes[name] for name, holder in files.items() if holder == file}
        tensors |= _read_tensors(folder / file, expected, values, convert)
    return tensors


def _read_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, Any],
    convert: Callable[[str, Tensor], Tensor],
) -> dict[str, Tensor]:
    tensors, sha256 = read_hashed(path, convert)
    check_tensors(tensors, shapes, f"'{path}'")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"'{path}': '{name}' holds {tensor.dtype} instead of floating-point numbers.")
    check_hash(path, values, sha256)
    return tensors


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def write_folder(
    folder: Path,
    parts: GeneratorParts,
    card: str | None = None,
    max_shard_size: int | str = MAX_SHARD_SIZE,
    hub_id: str | None = None,
) -> None:
    """Write a generator folder, completely or not at all. An existing generator is replaced.

    Args:
        folder: where to write.
        parts: the contents.
        card: the model card (Markdown); None: one made from the configuration.
        max_shard_size: above this size, the weights are split into several files: bytes, or a text such as ``5GB``.
        hub_id: the repository that the folder is uploaded to, for the card.

    Raises:
        ConfigError: the folder exists and holds other files, or `max_shard_size` is no size.
        CheckpointError: a tensor is not finite.
    """
    tensors = {f"denoiser.{name}": tensor for name, tensor in parts.denoiser.state_dict().items()}
    if parts.targets:
        tensors |= _target_tensors(parts.targets)
    else:
        tensors |= {f"normalizer.{name}": tensor for name, tensor in parts.normalizer.state_dict().items()}
    tensors |= {f"condition.{name}": tensor for name, tensor in parts.condition_space.state_dict().items()}
    check_tensors(tensors, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, "The generator to be saved")
    split = _split(tensors, max_shard_size)
    with writing_folder(folder, lambda path: holds_only(path, FORMAT, _FILES | _shards(path)), "generator") as new:
        sha256 = {
            file: write_safetensors(new / file, {name: tensors[name] for name in names}, {"format": "pt"})
            for file, names in split.filename_to_tensors.items()
        }
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": dict(sorted(split.tensor_to_filename.items()))}
            write_json(new / WEIGHTS_INDEX, index)
            sha256 |= hashes(new / WEIGHTS_INDEX)
        if parts.generic is not None:
            sha256[GENERIC] = write_safetensors(new / GENERIC, parts.generic, {"format": "pt"})
        trunk = trunk_record(make_spec(parts.config).architecture)
        values = parts.config.to_dict() | ({} if trunk is None else {TRUNK: trunk})
        values |= plugins_of(
            architectures=[*parts.config.architectures] or parts.config.architecture,
            tokenizers=parts.config.tokenizer["name"],
            schedulers=parts.config.scheduler["name"],
            encoders=parts.config.default_encoder,
        )
        values |= {HASHES: sha256}
        write_json(new / CONFIG, with_digest(values, CONFIG))
        (new / CARD).write_text(
            card if card is not None else model_card(parts.config, hub_id), encoding="utf-8", errors="backslashreplace"
        )


def _split(tensors: Mapping[str, Tensor], max_shard_size: int | str) -> StateDictSplit:
    """Return which file holds which tensors."""
    from huggingface_hub import split_torch_state_dict_into_shards

    try:
        # huggingface_hub takes "0GB", "-1GB" and fractions of a byte, and would write a file for each tensor.
        digits = max_shard_size.strip()[:-2] if isinstance(max_shard_size, str) else max_shard_size
        if isinstance(digits, bool) or not 0 < float(digits) < math.inf:
            raise ValueError("it is not a size above 0")
        return split_torch_state_dict_into_shards(dict(tensors), max_shard_size=max_shard_size)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ConfigError(
            f"max_shard_size is {max_shard_size!r}; give a number of bytes above 0, or a text such as '5GB' or '500MB'."
        ) from error


def _shards(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if _SHARD.fullmatch(path.name)}
