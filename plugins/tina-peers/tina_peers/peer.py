"""The base class of all peers: what a peer has to implement, and its folder.

Shapes: B tasks with K classes each, S shared parameters, R parameters of a class row, N parameters of a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.files import check_tensors, read_hashed, write_json, write_safetensors
from tina_framework.storage.folders import CONFIG, WEIGHTS, check_hash, contents, read_config, writing_folder
from tina_peers.differences import Differences, factor_buffer
from tina_peers.inputs import TaskInputs, WeightBatch
from tina_peers.recipe import PeerSettings, Recipe, checked

__all__ = ["CHECKPOINT", "FORMAT", "Peer"]

FORMAT = "tina-peer"
FORMAT_VERSION = 1
CHECKPOINT = "training.safetensors"
"""The file of an unfinished training run, in the folder of the peer."""

_MEAN = "condition.mean"
_KEYS = {"format", "format_version", "name", "architecture", "settings", "condition", "training", HASHES}


class Peer(nn.Module):
    """A model that writes networks from the text vectors of their classes.

    Subclasses set the class attributes and override `generate`, and `weight_loss` if they learn from p-Models. Parameters
    must be made in `__init__` from the settings and the sizes in `differences` alone, so that a folder can be loaded.
    A tensor that is no parameter must be a persistent buffer.

    Args:
        settings: an instance of `settings_class`.
        differences: converts networks to standardised differences.
        space: turns raw encoder vectors into conditioning vectors.
    """

    name: ClassVar[str]
    """The name of the method."""
    paper: ClassVar[str] = ""
    """The published method: authors, title, year."""
    differs: ClassVar[str] = ""
    """What is simplified or different from the paper, in a sentence or two, for reports."""
    tuning: ClassVar[str] = ""
    """Which settings were tried on validation tasks, for reports."""
    settings_class: ClassVar[type[PeerSettings]] = PeerSettings
    recipe: ClassVar[Recipe] = Recipe()
    """How the peer is trained if the user sets nothing."""
    phases: ClassVar[int] = 1
    """How many parts training has. Each has its own learning rate schedule, and starts from the averaged weights."""
    shots: ClassVar[int] = 0
    """How many training pictures of each class the peer reads besides the class names."""
    whitens: ClassVar[bool] = True
    """Whether the peer can write whitened differences."""

    def __init__(self, settings: PeerSettings, differences: Differences, space: ConditionSpace) -> None:
        super().__init__()
        self.settings = settings
        self.differences = differences
        self.space = space
        self.training_record: Mapping[str, Any] = {}

    @property
    def spec(self) -> ParameterSpec:
        """The parameters of the architecture."""
        return self.differences.spec

    def generate(self, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        """Return the standardised differences of one network for each task: shared (B, S) and class rows (B, K, R).

        It is differentiable for the objective ``task``. All noise must come from `inputs`.
        """
        raise NotImplementedError

    def networks(self, inputs: TaskInputs) -> Tensor:
        """Return the networks (B, N) of tasks."""
        shared, rows = self.generate(inputs)
        return self.differences.networks(shared, rows, inputs.conditions)

    def weight_loss(self, batch: WeightBatch, phase: int) -> Tensor:
        """Return the loss of a batch of p-Models, for the objective ``weights``. All noise must come from the inputs."""
        raise ConfigError(f"Peer '{self.name}' does not learn from p-Models; set objective to task.")

    def begin_phase(self, phase: int, p_models: Sequence[WeightBatch]) -> None:
        """Prepare a phase of training, for example compute statistics and keep them in buffers.

        Args:
            phase: its number, from 0.
            p_models: all p-Models of the zoo, grouped by class count.
        """

    def describe(self) -> str:
        """Return in a few words what runs, for reports."""
        return ""

    def save(self, folder: Path) -> None:
        """Write the folder completely or not at all. What a training run left in it is replaced.

        Raises:
            ConfigError: the path holds something else, or cannot be written.
        """
        names = {CONFIG, WEIGHTS, CHECKPOINT}

        def may_replace(path: Path) -> bool:
            return {entry.name for entry in contents(path)} <= names

        values = {
            "name": self.name,
            "architecture": self.spec.architecture.name,
            "settings": asdict(self.settings),
            "condition": {"space": self.space.space, "scale": self.space.scale},
            "training": self.training_record,
        }
        with writing_folder(folder, may_replace, "peer") as place:
            sha256 = write_safetensors(place / WEIGHTS, self.stored_tensors())
            head = {"format": FORMAT, "format_version": FORMAT_VERSION, **values, HASHES: {WEIGHTS: sha256}}
            write_json(place / CONFIG, with_digest(head, CONFIG))

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return what `save` writes: learned parameters in half precision, buffers as they are, the mean of the space."""
        learned = {name for name, _ in self.named_parameters()}
        tensors = {name: t.half() if name in learned else t for name, t in self.state_dict().items()}
        return {**tensors, _MEAN: self.space.mean}

    @torch.no_grad()
    def round(self) -> None:
        """Round the learned parameters to half precision, so that what is measured is what `save` writes."""
        for parameter in self.parameters():
            parameter.copy_(parameter.half().float())

    @classmethod
    def load(cls, folder: Path, spec: ParameterSpec) -> Peer:
        """Load a folder that `save` wrote, on the CPU.

        Raises:
            CheckpointError: the folder holds no peer of this kind, is incomplete or altered, or has another architecture.
        """
        if not folder.is_dir():
            raise CheckpointError(
                f"There is no folder '{folder}'; train a peer with `python -m tina_peers.train {cls.name} --out FOLDER`."
            )
        values = read_config(folder, FORMAT, FORMAT_VERSION, f"{CONFIG} and {WEIGHTS}")
        source = f"'{folder / CONFIG}'"
        if odd := sorted(values.keys() ^ _KEYS):
            raise CheckpointError(f"{source} lacks or does not know {', '.join(odd)}; it was altered.")
        if values["name"] != cls.name:
            raise CheckpointError(
                f"'{folder}' holds the peer '{values['name']}', not '{cls.name}'; name another folder."
            )
        if values["architecture"] != spec.architecture.name:
            raise CheckpointError(
                f"'{folder}' writes '{values['architecture']}' networks, but '{spec.architecture.name}' is evaluated; "
                "train one of that architecture."
            )
        try:
            settings = checked(cls.settings_class, values["settings"], source)
            space, scale = str(values["condition"]["space"]), float(values["condition"]["scale"])
        except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{source} is wrong: {error}") from error
        tensors, sha256 = read_hashed(folder / WEIGHTS)
        check_hash(folder / WEIGHTS, values, sha256)
        mean = tensors.pop(_MEAN, torch.empty(0, 0)).float()
        if mean.dim() != 1:
            raise CheckpointError(f"'{folder / WEIGHTS}' lacks {_MEAN}; it was altered or made by something else.")
        # On the meta device, so that sizes in an altered file take no memory before they are compared with the tensors.
        whitened = [name for name in spec.class_axes if f"differences.{factor_buffer(f'right.{name}')}" in tensors]
        with torch.device("meta"):
            peer = cls(settings, Differences(spec, len(mean), whitened), ConditionSpace(space, mean, scale))
        shapes = {name: tuple(tensor.shape) for name, tensor in peer.state_dict().items()}
        check_tensors(tensors, shapes, f"'{folder / WEIGHTS}'")
        peer.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
        peer.training_record = values["training"]
        return peer.eval().requires_grad_(False)
