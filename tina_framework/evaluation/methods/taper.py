"""*taper*: basis models mixed by text (`tina_framework.evaluation.taper_model`), trained once for all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tina_framework.errors import ConfigError
from tina_framework.evaluation.taper_model import TaperModel
from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Missing, Network
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.storage.paths import user_path

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Taper"]


class Taper(Method):
    """Mixes the networks of the TAPER model in the argument's folder. A file in that folder may be named instead."""

    name = "taper"
    reads_text = True
    batch_size = 64

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        if argument is None:
            raise ConfigError(
                "Method 'taper' needs a trained TAPER model; write taper@FOLDER. "
                "`python -m benchmarks.taper` trains one."
            )

    def prepare(self, tasks: Sequence[Task]) -> None:
        assert self.argument is not None
        place = user_path(self.argument)
        self.model = TaperModel.load(place.parent if place.is_file() else place, self.context.spec).to(
            self.context.device
        )
        encoder, space = self.context.encoder, self.model.space
        if (encoder.space, encoder.dim) != (space.space, space.dim):
            raise MethodUnavailable(
                f"encoder '{encoder.name}' gives vectors of the space '{encoder.space}' ({encoder.dim} wide), "
                f"but this TAPER model reads '{space.space}' ({space.dim} wide)"
            )
        self.number = {name: i for i, name in enumerate(self.model.config.class_names)}

    def describe(self) -> str:
        config = self.model.config
        mixed = "tensor by tensor" if config.per_tensor else "with one set of coefficients"
        return f"{config.num_bases} bases of {len(config.class_names)} classes, mixed {mixed}"

    @torch.no_grad()
    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        lacking = {task: [n for n in task.classes if n not in self.number] for task in tasks}
        able = [task for task in tasks if not lacking[task]]
        networks: dict[Task, Answer] = {}
        if able:
            found = encode_tasks([task.classes for task in able], self.context.encoder, self.context.template)
            device = self.context.device
            conditions = torch.stack([self.model.space.apply(condition.vectors) for condition in found]).to(device)
            classes = torch.tensor([[self.number[name] for name in task.classes] for task in able], device=device)
            flats = self.model.networks(conditions, classes)
            networks = {task: Network(flat, task.classes) for task, flat in zip(able, flats, strict=True)}
        return [
            networks[task]
            if task in networks
            else Missing(f"the bases have no row for {', '.join(map(repr, lacking[task][:3]))}")
            for task in tasks
        ]
