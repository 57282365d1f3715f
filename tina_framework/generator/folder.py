"""Generator folders: where they are found, what is checked when one is read, how one is written.

A folder holds `config.json`, `model.safetensors` (``denoiser.*``, ``normalizer.*``, ``condition.mean``), a model card,
and, for evaluation, `generic.safetensors`: the generic network over all classes of the data set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import CheckpointError, ConfigError, DataError, UnknownNameError
from tina_framework.generator.card import model_card
from tina_framework.generator.components import make_spec, make_tokenizer
from tina_framework.generator.config import FORMAT, FORMAT_VERSION, GeneratorConfig
from tina_framework.generator.hub import commit_of, download
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.required import PLUGINS, plugin_hint, plugins_of
from tina_framework.plugin.suggest import did_you_mean
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.row_retrieval import RowRetrieval
from tina_framework.storage.files import check_tensors, read_safetensors, write_json, write_safetensors
from tina_framework.storage.folders import (
    CONFIG,
    HASHES,
    WEIGHTS,
    check_hash,
    hashes,
    holds_only,
    is_folder_of,
    read_config,
    writing_folder,
)
from tina_framework.targets.trunk import check_trunk_record, trunk_record

__all__ = [
    "GeneratorParts",
    "bundled_names",
    "find_folder",
    "read_folder",
    "write_folder",
]

GENERIC = "generic.safetensors"
CARD = "README.md"
TRUNK = "trunk"
_OURS = frozenset({CONFIG, WEIGHTS, GENERIC, CARD, ".gitattributes"})
_NEEDS = f"{CONFIG} with format '{FORMAT}' and {WEIGHTS}, as Generator.save_pretrained writes them"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PATTERNS = ["*.json", "*.safetensors", "*.md"]


@dataclass(frozen=True)
class GeneratorParts:
    """What a folder holds, checked; `generic` is None if the folder has none."""

    config: GeneratorConfig
    denoiser: Denoiser
    normalizer: Normalizer
    condition_space: ConditionSpace
    generic: dict[str, Tensor] | None


def _pretrained() -> Path:
    return Path(str(resources.files("tina_framework"))) / "pretrained"


def bundled_names() -> list[str]:
    """Names of the generators that ship with the package."""
    root = _pretrained()
    return sorted(path.name for path in root.iterdir() if is_folder_of(path, FORMAT)) if root.is_dir() else []


def find_folder(name: str, revision: str | None = None, local_files_only: bool = False) -> Path:
    """An existing folder, a bundled name or a Hub id -> a local folder (downloaded if need be).

    Raises:
        CheckpointError: a Hub repository that holds no generator of ours.
        DownloadError: the Hub repository could not be fetched.
        UnknownNameError: none of the three.
    """
    if name and Path(name).is_dir():
        return Path(name)
    if name in bundled_names():
        return _pretrained() / name
    if _HUB_ID.fullmatch(name):
        # The small file first: a repository of something else is refused before its weights are fetched.
        folder = download(name, [CONFIG], revision, local_files_only)
        read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)
        return download(name, _PATTERNS, commit_of(folder) or revision, local_files_only)
    known = bundled_names()
    suggestion = did_you_mean(name, known)
    raise UnknownNameError(
        f"Unknown generator '{name}'.{suggestion} Bundled: {', '.join(known) or 'none'}. "
        "Otherwise give an existing folder or a Hub id 'owner/name'."
    )


def read_folder(folder: Path) -> GeneratorParts:
    """Everything in a generator folder, on the CPU, in float32.

    Raises:
        CheckpointError: the folder is something else, incomplete or altered, or names something not registered.
    """
    source = f"'{folder / CONFIG}'"
    values = read_config(folder, FORMAT, FORMAT_VERSION, _NEEDS)
    config = GeneratorConfig.from_dict(
        {key: value for key, value in values.items() if key not in (HASHES, PLUGINS, TRUNK)}, source
    )
    try:
        spec, tokenizer = make_spec(config), make_tokenizer(config)
        registries().schedulers.create(config.scheduler["name"], **config.scheduler["config"])
        registries().encoders.entry(config.default_encoder.partition(":")[0])
        layout = tokenizer.layout(spec, config.max_classes, config.denoiser.max_classes)
    except (ConfigError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{source} names something that cannot be made: {error}{plugin_hint(values)}") from error
    check_trunk_record(values.get(TRUNK), spec.architecture, source)
    sizes = config.denoiser
    theirs = (layout.group_widths, layout.group_sizes, layout.token_width, layout.equivariant)
    if theirs != (sizes.group_widths, sizes.group_sizes, sizes.token_width, sizes.equivariant):
        raise CheckpointError(
            f"{source}: the denoiser's token groups are not those of tokenizer '{tokenizer.name}' on '{config.architecture}'; "
            "it was altered or made by something else."
        )
    with torch.device("meta"):
        denoiser = Denoiser(config.denoiser)
    shapes = {f"denoiser.{name}": tuple(tensor.shape) for name, tensor in denoiser.state_dict().items()}
    shapes |= {f"normalizer.{name}": shape for name, shape in Normalizer.shapes(spec).items()}
    shapes |= {f"condition.{name}": shape for name, shape in condition_shapes(config).items()}
    tensors = _read(folder / WEIGHTS, shapes, values)
    denoiser.load_state_dict(_part(tensors, "denoiser."), assign=True)
    denoiser.eval()
    normalizer = Normalizer.from_tensors(spec, _part(tensors, "normalizer."))
    space = make_space(config, _part(tensors, "condition."))
    generic = None
    if (folder / GENERIC).is_file():
        infos = spec.parameters(len(config.class_names))
        generic = _read(folder / GENERIC, {info.name: info.shape for info in infos}, values)
    return GeneratorParts(config, denoiser, normalizer, space, generic)


def condition_shapes(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """What `make_space` needs: name -> shape."""
    recall, width = config.condition.get("recall"), config.denoiser.condition_dim
    if recall is None:
        return {"mean": (width,)}
    row = config.denoiser.group_widths[config.denoiser.class_group]
    width -= 1  # how strange a class is
    return {"mean": (width,), "recall.keys": (recall["classes"], width), "recall.rows": (recall["classes"], row)}


def make_space(config: GeneratorConfig, tensors: Mapping[str, Tensor]) -> ConditionSpace:
    """The condition space of a folder.

    Raises:
        CheckpointError: its values make none.
    """
    try:
        recall = config.condition.get("recall")
        made = (
            None
            if recall is None
            else RowRetrieval.from_tensors(_part(tensors, "recall."), recall["temperature"], recall["strength"])
        )
        return ConditionSpace(config.condition["space"], tensors["mean"], config.condition["scale"], made)
    except DataError as error:
        raise CheckpointError(f"The condition space of the generator is damaged: {error}") from error


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors = read_safetensors(path)
    check_tensors(tensors, shapes, f"'{path}'")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"'{path}': '{name}' holds {tensor.dtype} instead of numbers with a fraction.")
    check_hash(path, values)
    # Copied: what was read is a view of the file, and would change or crash with it.
    return {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def write_folder(folder: Path, parts: GeneratorParts, card: str | None = None) -> None:
    """Writes a generator folder, whole or not at all; an existing one is replaced.

    Args:
        card: the model card, Markdown; None: made from the configuration.

    Raises:
        ConfigError: the place holds something else.
        CheckpointError: a tensor is not finite.
    """
    tensors = {f"denoiser.{name}": tensor for name, tensor in parts.denoiser.state_dict().items()}
    tensors |= {f"normalizer.{name}": tensor for name, tensor in parts.normalizer.state_dict().items()}
    tensors |= {f"condition.{name}": tensor for name, tensor in parts.condition_space.state_dict().items()}
    check_tensors(tensors, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, "The generator to be saved")
    with writing_folder(folder, lambda path: holds_only(path, FORMAT, _OURS), "generator") as new:
        write_safetensors(new / WEIGHTS, tensors, {"format": "pt"})
        if parts.generic is not None:
            write_safetensors(new / GENERIC, parts.generic, {"format": "pt"})
        trunk = trunk_record(make_spec(parts.config).architecture)
        values = parts.config.to_dict() | ({} if trunk is None else {TRUNK: trunk})
        values |= plugins_of(
            architectures=parts.config.architecture,
            tokenizers=parts.config.tokenizer["name"],
            schedulers=parts.config.scheduler["name"],
            encoders=parts.config.default_encoder.partition(":")[0],
        )
        write_json(new / CONFIG, values | {HASHES: hashes(*sorted(new.glob("*.safetensors")))})
        (new / CARD).write_text(card if card is not None else model_card(parts.config), encoding="utf-8")
