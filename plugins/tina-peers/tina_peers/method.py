"""The peers as methods of ``tina evaluate``: ``NAME`` with the weights of this plugin, ``NAME@FOLDER`` with others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Missing, Network
from tina_framework.interfaces.randomness import generator_at
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.storage.paths import user_path
from tina_peers.examples import example_pictures
from tina_peers.inputs import TaskInputs
from tina_peers.peer import Peer

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["PeerMethod", "shipped"]


def shipped(name: str) -> Path:
    """Return the folder of the weights that this plugin has for a peer. It need not exist."""
    return Path(__file__).resolve().parent / "weights" / name


class PeerMethod(Method):
    """The networks of a trained peer. The classes of a task are given in alphabetical order, so any order is equal.

    Subclasses set `peer_class`, and inherit its name and its texts for the report.
    """

    batch_size = 64
    reads_text = True
    peer_class: ClassVar[type[Peer]]
    peer: Peer

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        peer = cls.peer_class
        cls.name, cls.paper, cls.differs, cls.tuning = peer.name, peer.paper, peer.differs, peer.tuning

    def prepare(self, tasks: Sequence[Task]) -> None:
        folder = shipped(self.name) if self.argument is None else user_path(self.argument)
        if self.argument is None and not folder.is_dir():
            raise MethodUnavailable(
                f"this version of tina-peers has no weights of '{self.name}'; "
                f"train some with `python -m tina_peers.train {self.name}` and write {self.name}@FOLDER"
            )
        self.peer = self.peer_class.load(folder, self.context.spec).to(self.context.device)
        encoder, space = self.context.encoder, self.peer.space
        if (encoder.space, encoder.dim) != (space.space, space.dim):
            raise MethodUnavailable(
                f"encoder '{encoder.name}' gives vectors of the space '{encoder.space}' ({encoder.dim} wide), "
                f"but this '{self.name}' reads '{space.space}' ({space.dim} wide)"
            )
        self._examples: dict[str, Tensor] = {}
        if self.peer.shots:
            context = self.context
            if context.spec.architecture.trunk is not None:
                raise MethodUnavailable(f"'{self.name}' reads pictures, and cannot read features of a frozen trunk")
            names = sorted({name for task in tasks for name in task.classes})
            self._examples = example_pictures(context.dataset, context.spec, names, self.peer.shots, context.seed)

    def describe(self) -> str:
        parameters = sum(p.numel() for p in self.peer.parameters())
        text = f"{parameters:,} parameters"
        more = self.peer.describe()
        return f"{text}; {more}" if more else text

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        if not self.peer.shots:
            return self._networks(tasks)
        lacking = {task: [name for name in task.classes if name not in self._examples] for task in tasks}
        able = [task for task in tasks if not lacking[task]]
        found = iter(self._networks(able) if able else [])
        return [
            Missing(f"class '{lacking[task][0]}' has fewer than {self.peer.shots} training pictures")
            if lacking[task]
            else next(found)
            for task in tasks
        ]

    @torch.no_grad()
    def _networks(self, tasks: Sequence[Task]) -> list[Answer]:
        orders = [tuple(sorted(task.classes)) for task in tasks]
        encoded = encode_tasks(orders, self.context.encoder, self.context.template)
        conditions = torch.stack([self.peer.space.apply(task.vectors) for task in encoded])
        draws = [generator_at(self.context.seed, "/".join(order)) for order in orders]
        pictures = None
        if self.peer.shots:
            pictures = torch.stack([torch.stack([self._examples[name] for name in order]) for order in orders])
        flats = self.peer.networks(TaskInputs(orders, conditions, draws, pictures).to(self.context.device))
        return [Network(flat, order) for flat, order in zip(flats, orders, strict=True)]
