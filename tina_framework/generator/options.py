"""`SamplingOptions`: how networks are sampled, in one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tina_framework.errors import ConfigError
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.whole_numbers import check_seed, whole_number

if TYPE_CHECKING:
    from tina_framework.generator.config import GeneratorConfig
    from tina_framework.generator.sampling import OnStepEnd

__all__ = ["ComposeMethod", "OnProgress", "SamplingOptions"]

OnProgress = Callable[[int, int], None]
"""Called with (models done, models in total)."""

ComposeMethod = Literal["ensemble", "merge"]
"""How several networks become one classifier: see `SamplingOptions.compose`."""


_MAX_COUNT = 1_000_000
"""Upper bound of steps, samples and batches. Useful values are far below it."""


@dataclass(frozen=True)
class SamplingOptions:
    """How the networks of a list of tasks are sampled.

    Attributes:
        num_inference_steps: denoising steps; None: the generator's default.
        seed: a whole number from 0 to 2^63 - 1, also as a scalar of NumPy or torch.
        num_samples: networks for each task.
        scheduler: a scheduler for the same noise process, by registry name or as a (diffusers) object; None: the generator's own.
        batch_size: networks sampled at once.
        compose: what to do with a task of more classes than one network can have. False: refuse it. True or ``ensemble``:
            build an ensemble of several networks. ``merge``: average several networks into one, which is smaller and
            faster, but less accurate.
        on_progress: called after every batch.
        on_step_end: called after every denoising step of every batch; see `tina_framework.generator.sampling`.

    Raises:
        ConfigError: a value has the wrong type or range.
    """

    num_inference_steps: int | None = None
    seed: int = 0
    num_samples: int = 1
    scheduler: str | NoiseScheduler | None = None
    batch_size: int = 64
    compose: bool | ComposeMethod = False
    on_progress: OnProgress | None = None
    on_step_end: OnStepEnd | None = None

    def __post_init__(self) -> None:
        for name in ("num_inference_steps", "num_samples", "batch_size"):
            value = getattr(self, name)
            if name == "num_inference_steps" and value is None:
                continue
            object.__setattr__(self, name, whole_number(value, name, 1, _MAX_COUNT))
        object.__setattr__(self, "seed", check_seed(self.seed))
        # Types first: 1 == True, and an array of one text equals the text, but neither is a way to compose.
        known = isinstance(self.compose, str) and self.compose in ("ensemble", "merge")
        if not isinstance(self.compose, bool) and not known:
            raise ConfigError(f"compose is {self.compose!r}; choose True or 'ensemble', 'merge', or False.")

    @property
    def compose_method(self) -> ComposeMethod | None:
        """``ensemble``, ``merge``, or None if tasks of too many classes are refused."""
        if isinstance(self.compose, bool):
            return "ensemble" if self.compose else None
        return self.compose

    def steps(self, config: GeneratorConfig) -> int:
        """Return the number of denoising steps for a generator."""
        return config.num_inference_steps if self.num_inference_steps is None else self.num_inference_steps

    def scheduler_name(self, config: GeneratorConfig) -> str:
        """Return the name under which a classifier's provenance records the scheduler."""
        if self.scheduler is None:
            return str(config.scheduler["name"])
        return self.scheduler if isinstance(self.scheduler, str) else type(self.scheduler).__name__
