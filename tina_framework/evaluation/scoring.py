"""Accuracy of networks given as parameter vectors, in float32, on images that are preprocessed once.

Shapes: N parameters, K outputs, M images of a task, A images of the whole split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tina_framework.errors import TinaError
from tina_framework.generator.compose import ensemble_state
from tina_framework.interfaces.method import Network
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.ensemble import build_network
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.tasks import Task

__all__ = ["Scorer"]


class Scorer:
    """Measures networks of one architecture on the images of one split.

    Args:
        spec: parameters of the architecture.
        bank: the images to measure on.
        batch_size: how many images at a time.
    """

    def __init__(self, spec: ParameterSpec, bank: ImageBank, batch_size: int = 1000) -> None:
        self.spec = spec
        self.bank = bank
        self.batch_size = batch_size
        self._modules: dict[int, nn.Module] = {}
        self._rows: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}
        self._whole: tuple[Network, Tensor] | None = None

    def check(self, tasks: Iterable[Task]) -> None:
        """Look up the images of all tasks.

        Raises:
            DataError: the data set lacks a class, or this split has no image of a task.
        """
        for task in tasks:
            self._images_of(task.classes)

    def accuracy(self, network: Network, classes: Sequence[str]) -> float:
        """Return the share of the task's images whose greatest logit is the output of their class: a fraction of 1.

        Raises:
            DataError: see `check`.
            TinaError: the network's parameters are not all finite.
        """
        return float(self.correct(network, classes).double().mean())

    def correct(self, network: Network, classes: Sequence[str]) -> Tensor:
        """Return which of the task's images are classified correctly, (M,) bool.

        Raises the same errors as `accuracy`.
        """
        rows, slots = self._images_of(tuple(classes))
        if len(network.outputs) == len(classes):
            chosen = self._choose(network, self.bank.images[rows])
        else:
            chosen = self._choose_everywhere(network)[rows]
        # Output number of each of the task's classes; -1 (never chosen) where the network has no such output.
        place = {name: i for i, name in enumerate(network.outputs)}
        wanted = torch.tensor([place.get(name, -1) for name in classes], device=slots.device)
        return chosen == wanted[slots]

    def answers(self, flat_N: Tensor, num_outputs: int, images: Tensor) -> Tensor:
        """Return the output with the greatest logit (M,) for each of `images` (M, C, H, W).

        Raises:
            TinaError: the network's parameters are not all finite.
        """
        return self._choose(Network(flat_N, tuple(map(str, range(num_outputs)))), images)

    def _images_of(self, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        if classes not in self._rows:
            self._rows[classes] = self.bank.rows(classes)
        return self._rows[classes]

    def _choose_everywhere(self, network: Network) -> Tensor:
        """Return the outputs chosen for all A images.

        The last result is kept, because one network with outputs for all classes answers many tasks.
        """
        if self._whole is None or self._whole[0] is not network:
            self._whole = (network, self._choose(network, self.bank.images))
        return self._whole[1]

    def _choose(self, network: Network, images: Tensor) -> Tensor:
        """Return the output with the greatest logit (M,) for images (M, C, H, W)."""
        return torch.cat([part.argmax(dim=1) for part in self._parts(network, images)])

    def logits(self, network: Network, rows: Tensor) -> Tensor:
        """Return the logits (M, K) of the bank's images `rows` (M,).

        Raises:
            TinaError: the network's parameters are not all finite.
        """
        return torch.cat(list(self._parts(network, self.bank.images[rows])))

    @torch.no_grad()
    def _parts(self, network: Network, images: Tensor) -> Iterator[Tensor]:
        """Yield logits, batch by batch."""
        num_outputs = len(network.outputs)
        flat = network.flat.detach().to(images.device, torch.float32)
        if not bool(flat.isfinite().all()):
            raise TinaError(
                f"The network for {', '.join(network.outputs[:3])}, ... has parameters that are not finite; "
                "it cannot be measured. Sample with another seed, scheduler or number of steps."
            )
        forward = self._forward(flat, num_outputs, network.members)
        for part in images.split(self.batch_size):
            yield forward(part)

    def _forward(
        self, flat: Tensor, num_outputs: int, members: Sequence[Sequence[int]] | None
    ) -> Callable[[Tensor], Tensor]:
        """Return a function from images to logits."""
        if members is None:
            state, module = self.spec.unflatten(flat, num_outputs), self._module(num_outputs)
            return lambda images: functional_call(module, state, (images,))
        flats = flat.split([self.spec.num_parameters(len(group)) for group in members])
        own = ensemble_state(self.spec, members, flats)
        return build_network(self.spec.architecture, num_outputs, own, members).eval()

    def _module(self, num_outputs: int) -> nn.Module:
        if num_outputs not in self._modules:
            with torch.device("meta"):  # only the structure is needed; `functional_call` brings the parameters
                self._modules[num_outputs] = self.spec.architecture.build(num_outputs).eval()
        return self._modules[num_outputs]
