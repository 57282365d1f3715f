"""TAPER: basis models, mixed for each task by a small network (the mixer) that reads the names of its classes.

Chen et al., *Train-Once-for-All Personalization*, CVPR 2023: theta(task) = sum over m of a_m(task) theta_m. The mixer
computes the coefficients a from text. Bases and mixer are trained together, once for all tasks, on the loss of the
mixed network. Shapes: B tasks, K classes of a task, C classes in all, E condition width, M bases, G groups of tensors
with their own coefficients, H hidden width, N parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.files import check_tensors, read_hashed, write_json, write_safetensors
from tina_framework.storage.folders import (
    CONFIG,
    WEIGHTS,
    check_hash,
    holds_only,
    read_config,
    writing_folder,
)

__all__ = ["FORMAT", "TaperConfig", "TaperModel"]

FORMAT = "tina-taper"
FORMAT_VERSION = 1
_MEAN = "condition.mean"


@dataclass(frozen=True)
class TaperConfig:
    """Everything about a TAPER model except its tensors.

    Attributes:
        architecture: registry name of the networks that are mixed.
        class_names: the C classes that the bases have rows for.
        num_bases: M. With 1 there is nothing to mix: all tasks get the same shared tensors.
        hidden_size: H.
        per_tensor: each tensor of the network has its own coefficients; otherwise all tensors share one set.
        training: how it was trained, any JSON.

    Raises:
        ConfigError: a value has the wrong type or range.
    """

    architecture: str
    class_names: tuple[str, ...]
    num_bases: int = 8
    hidden_size: int = 128
    per_tensor: bool = True
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if not isinstance(self.architecture, str) or not self.architecture:
            raise ConfigError(f"TAPER setting architecture={self.architecture!r} is not a name.")
        if len(self.class_names) < 2 or not all(isinstance(name, str) for name in self.class_names):
            raise ConfigError("TAPER setting class_names is not a list of at least two names.")
        for name in ("num_bases", "hidden_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"TAPER setting {name}={value!r} is not an integer of at least 1.")
        if not isinstance(self.per_tensor, bool) or not isinstance(self.training, Mapping):
            raise ConfigError("TAPER settings per_tensor and training are not true or false, and a table.")


class TaperModel(nn.Module):
    """M networks with rows for all classes, and the mixer.

    The mixer is a perceptron of each class's condition, the mean over the classes, and a softmax over the bases.

    Args:
        config: sizes.
        spec: parameters of the architecture.
        space: turns raw encoder vectors into conditions.
    """

    def __init__(self, config: TaperConfig, spec: ParameterSpec, space: ConditionSpace) -> None:
        super().__init__()
        self.config, self.spec, self.space = config, spec, space
        self.groups = len(spec.class_axes) if config.per_tensor else 1
        width = config.hidden_size
        self.bases = nn.Parameter(torch.zeros(config.num_bases, spec.num_parameters(len(config.class_names))))
        self.each_class = nn.Sequential(nn.Linear(space.dim, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.together = nn.Linear(width, self.groups * config.num_bases)

    @torch.no_grad()
    def start_from(self, generic: Mapping[str, Tensor], spread: float, generator: torch.Generator) -> None:
        """Set every basis to the generic model (over all C classes) plus random noise of its own.

        Without noise all bases would be the same network whatever the mixer says, and would get gradients in one
        direction.

        Args:
            generic: the state of the generic model.
            spread: standard deviation of the noise, relative to that of each tensor.
            generator: random generator on the CPU.
        """
        start = {}
        for name in self.spec.class_axes:
            tensor = generic[name].float()
            noise = torch.randn(self.config.num_bases, *tensor.shape, generator=generator)
            start[name] = tensor + spread * tensor.std() * noise
        self.bases.copy_(self.spec.flatten(start, len(self.config.class_names)))

    def coefficients(self, conditions_BKE: Tensor) -> Tensor:
        """Return how much of each basis is mixed in, (B, G, M): above 0, with a sum of 1 over M."""
        logits = self.together(self.each_class(conditions_BKE).mean(dim=1))
        shares: Tensor = logits.unflatten(-1, (self.groups, self.config.num_bases)).softmax(dim=-1)
        return shares

    def networks(self, conditions_BKE: Tensor, classes_BK: Tensor) -> Tensor:
        """Return the mixed networks (B, N) of tasks with K classes each.

        Args:
            conditions_BKE: conditions of the classes, from `space`.
            classes_BK: the number of each class in `config.class_names`.
        """
        count, tasks = classes_BK.shape[1], len(classes_BK)
        mix_BGM = self.coefficients(conditions_BKE)
        state = self.spec.unflatten(self.bases, len(self.config.class_names))
        mixed = {}
        for group, (name, axis) in enumerate(self.spec.class_axes.items()):
            mix_BM, tensor = mix_BGM[:, group % self.groups], state[name]
            if axis is None:
                mixed[name] = torch.tensordot(mix_BM, tensor, dims=1)
                continue
            rows = tensor.index_select(axis + 1, classes_BK.flatten()).unflatten(axis + 1, (tasks, count))
            mixed[name] = torch.einsum("bm,bm...->b...", mix_BM, rows.movedim(axis + 1, 0))
        return self.spec.flatten(mixed, count)

    def save(self, folder: Path) -> None:
        """Write the folder completely or not at all. A folder that holds another TAPER model is replaced.

        Raises:
            ConfigError: the path holds something else, or cannot be written.
        """
        values = {**asdict(self.config), "condition": {"space": self.space.space, "scale": self.space.scale}}
        names = frozenset({CONFIG, WEIGHTS})
        with writing_folder(folder, lambda path: holds_only(path, FORMAT, names), "TAPER") as place:
            sha256 = write_safetensors(place / WEIGHTS, {**self.state_dict(), _MEAN: self.space.mean})
            head = {"format": FORMAT, "format_version": FORMAT_VERSION, **values, HASHES: {WEIGHTS: sha256}}
            write_json(place / CONFIG, with_digest(head, CONFIG))

    @classmethod
    def load(cls, folder: Path, spec: ParameterSpec) -> TaperModel:
        """Load a folder that `save` wrote, on the CPU.

        Raises:
            CheckpointError: the folder holds no TAPER model, is incomplete or altered, or has another architecture.
        """
        values = read_config(folder, FORMAT, FORMAT_VERSION, f"{CONFIG} and {WEIGHTS}")
        source = f"'{folder / CONFIG}'"
        known = {entry.name for entry in fields(TaperConfig)}
        odd = sorted(values.keys() ^ (known | {"format", "format_version", "condition", HASHES}))
        if odd:
            raise CheckpointError(f"{source} lacks or does not know {', '.join(odd)}; it was altered.")
        try:
            config = TaperConfig(**{name: values[name] for name in known})
            space, scale = str(values["condition"]["space"]), float(values["condition"]["scale"])
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{source} is wrong: {error}") from error
        if config.architecture != spec.architecture.name:
            raise CheckpointError(
                f"'{folder}' mixes '{config.architecture}' networks, but '{spec.architecture.name}' is evaluated; "
                "train one of that architecture."
            )
        tensors, sha256 = read_hashed(folder / WEIGHTS)
        check_hash(folder / WEIGHTS, values, sha256)
        mean = tensors.pop(_MEAN, torch.empty(0, 0))
        if mean.dim() != 1:
            raise CheckpointError(f"'{folder / WEIGHTS}' lacks {_MEAN}; it was altered or made by something else.")
        model = cls(config, spec, ConditionSpace(space, mean, scale))
        shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        check_tensors(tensors, shapes, f"'{folder / WEIGHTS}'")
        model.load_state_dict(tensors)
        return model.eval().requires_grad_(False)
