"""*tina*: the generator under evaluation; *tina@...*: the same generator with another sampler."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch

from tina_framework.errors import ConfigError
from tina_framework.generator.compose import GeneratedNetworks
from tina_framework.generator.options import ComposeMethod, SamplingOptions
from tina_framework.interfaces.method import Answer, Method, Network
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Tina", "parse_sampler"]


def parse_sampler(text: str) -> tuple[str | None, int | None]:
    """Parse ``20`` into (None, 20), ``ddpm`` into (``ddpm``, None) and ``ddpm:1000`` into (``ddpm``, 1000).

    Raises:
        UnknownNameError: no scheduler has that name.
        ConfigError: the number of steps is not an integer of at least 1.
    """
    name, colon, steps = ("", ":", text) if re.fullmatch(r"[+-]?\d+", text) else text.partition(":")
    if name:
        registries().schedulers.entry(name)
    if colon and not (re.fullmatch(r"\d+", steps) and int(steps) >= 1):
        raise ConfigError(f"'{text}' is no sampler; write STEPS, SCHEDULER or SCHEDULER:STEPS, e.g. ddpm:1000.")
    return name or None, int(steps) if colon else None


_MANY_STEPS = 200


class Tina(Method):
    """Encodes the class names and generates the network, with the generator's defaults or another sampler.

    For more classes than the generator makes, several networks form an ensemble, as with `tina generate --compose`.
    """

    name = "tina"
    reads_text = True
    compose: ClassVar[ComposeMethod] = "ensemble"
    batch_size = 64

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        if argument is not None:
            parse_sampler(argument)

    def prepare(self, tasks: Sequence[Task]) -> None:
        self.generator = self.context.generator
        self.encoder = self.context.encoder
        scheduler, steps = parse_sampler(self.argument) if self.argument is not None else (None, None)
        largest = self.generator.config.max_classes
        self.composed_above = largest if any(len(task.classes) > largest for task in tasks) else None
        if (steps or self.generator.config.num_inference_steps) > _MANY_STEPS:
            self.batch_size = 16  # a batch takes minutes then, and progress is shown after each batch
        self.options = SamplingOptions(
            num_inference_steps=steps,
            seed=self.context.seed,
            scheduler=scheduler,
            batch_size=self.batch_size,
            compose=self.compose,
        )

    def describe(self) -> str:
        config = self.generator.config
        scheduler, steps = self.options.scheduler_name(config), self.options.steps(config)
        text = f"{scheduler}, {steps} {'step' if steps == 1 else 'steps'}"
        if self.composed_above is None:
            return text
        what = "an ensemble" if self.compose == "ensemble" else "several merged into one"
        return f"{text}; above {self.composed_above} classes {what}"

    def conditions(self, tasks: Sequence[Task]) -> list[EncodedTask]:
        """Return the encoded class names of each task."""
        return encode_tasks([task.classes for task in tasks], self.encoder, self.context.template)

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        generated = self.generator.generate_networks(self.conditions(tasks), self.options)
        return [self._network(networks, task) for networks, task in zip(generated, tasks, strict=True)]

    def _network(self, networks: GeneratedNetworks, task: Task) -> Network:
        if networks.is_composed and self.compose == "ensemble":
            return Network(torch.cat(list(networks.flats)), task.classes, tuple(map(tuple, networks.groups)))
        return Network(networks.merged(self.context.spec), task.classes)
