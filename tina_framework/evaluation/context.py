"""What the methods of one evaluation share: the generator, the generic model, the zoo, the images and the settings."""

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
    """Everything that the methods of one evaluation need.

    Attributes:
        generator: the model under evaluation. It has the encoder.
        dataset: where images come from.
        seed: seed of generation.
        template: number of the encoder's prompt template.
        generic: the generic model, trained to the end of its learning rate schedule. None: there is none;
            `no_generic` says why.
        zoo: the p-Models (the generic model fine-tuned on single tasks). None: there are none; `no_zoo` says why.
        fine_tune_tasks: how many tasks of each split *fine-tune* trains on; None: all.
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
        """The parameters of the target architecture."""
        return self.generator.spec

    @property
    def device(self) -> torch.device:
        """Where networks are generated, trained and measured."""
        return self.generator.device

    @property
    def encoder(self) -> Encoder:
        """The encoder that turns class names into vectors; loaded when first needed."""
        return self.generator.encoder

    def need_generic(self) -> GenericModel:
        """Return the generic model.

        Raises:
            MethodUnavailable: there is no generic model.
        """
        if self.generic is None:
            raise MethodUnavailable(self.no_generic)
        return self.generic

    def need_zoo(self) -> Zoo:
        """Return a zoo with at least one p-Model.

        Raises:
            MethodUnavailable: there is no such zoo.
        """
        if self.zoo is None:
            raise MethodUnavailable(self.no_zoo)
        if not self.zoo.entries:
            raise MethodUnavailable(f"the zoo '{self.zoo.folder.name}' holds no p-Model")
        return self.zoo
