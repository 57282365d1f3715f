"""What methods draw on: the generator, the generic model, the zoo, the encoder, images and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.evaluation.method import MethodUnavailable
from tina_framework.interfaces.spec import ParameterSpec

if TYPE_CHECKING:
    from tina_framework.generator.generator import Generator
    from tina_framework.interfaces.dataset import Dataset
    from tina_framework.interfaces.encoder import Encoder
    from tina_framework.zoo.store import Zoo

__all__ = ["Context"]


@dataclass
class Context:
    """Everything of one evaluation.

    Attributes:
        generator: the model under evaluation; it has the encoder.
        dataset: where images come from.
        seed: of generation.
        template: which of the encoder's prompt templates.
        generic: the annealed generic model; None: there is none, and `no_generic` says why.
        zoo: p-Models; None: there is none, and `no_zoo` says why.
        fine_tune_tasks: how many tasks of each split are fine-tuned; None: all.
    """

    generator: Generator
    dataset: Dataset
    seed: int = 0
    template: int = 0
    generic: GenericModel | None = None
    zoo: Zoo | None = None
    fine_tune_tasks: int | None = None
    no_generic: str = "there is no generic model"
    no_zoo: str = "there is no zoo"

    @property
    def spec(self) -> ParameterSpec:
        """The target architecture's parameters."""
        return self.generator.spec

    @property
    def device(self) -> torch.device:
        """Where networks are generated, trained and measured."""
        return self.generator.device

    @property
    def encoder(self) -> Encoder:
        """What turns class names into vectors; made when first needed."""
        return self.generator.encoder

    def need_generic(self) -> GenericModel:
        """Raises: MethodUnavailable: there is none."""
        if self.generic is None:
            raise MethodUnavailable(self.no_generic)
        return self.generic

    def need_zoo(self) -> Zoo:
        """A zoo with at least one p-Model. Raises: MethodUnavailable: there is none."""
        if self.zoo is None:
            raise MethodUnavailable(self.no_zoo)
        if not self.zoo.entries:
            raise MethodUnavailable(f"the zoo '{self.zoo.folder.name}' holds no p-Model")
        return self.zoo
