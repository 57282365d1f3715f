"""*regressor*: another generator, trained without diffusion, which answers in one step from zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods.tina import Tina
from tina_framework.evaluation.paths import without_folders
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import SamplingOptions
from tina_framework.interfaces.method import MethodUnavailable

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Regressor"]


class Regressor(Tina):
    """The networks of another generator, which was trained with ``regression = true``.

    The argument names it: a folder or a registered name.
    """

    name = "regressor"

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        if argument is None:
            raise ConfigError(
                "Method 'regressor' needs a generator that was trained with regression = true; write regressor@MODEL."
            )

    def prepare(self, tasks: Sequence[Task]) -> None:
        assert self.argument is not None
        context = self.context
        self.encoder = context.encoder
        self.generator = Generator.from_pretrained(self.argument, device=context.device, encoder=self.encoder)
        if self.generator.config.architecture != context.generator.config.architecture:
            raise MethodUnavailable(
                f"'{without_folders(self.argument)}' makes '{self.generator.config.architecture}' networks, "
                f"not '{context.generator.config.architecture}'"
            )
        if self.generator.config.initial_noise:
            raise MethodUnavailable(
                f"'{without_folders(self.argument)}' was trained with diffusion, not with regression = true; "
                "tina@1 takes its first step"
            )
        self.options = SamplingOptions(
            num_inference_steps=1, seed=context.seed, batch_size=self.batch_size, compose=self.compose
        )

    def describe(self) -> str:
        tokens = self.generator.config.tokenizer["name"]
        return f"generator '{self.generator.name}', tokens {tokens}, one step from zeros"
