"""How much each part does. Every size is cut down by ``--tiny``, or by an environment variable such as ``GPU_ZOO_MODELS=64``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

__all__ = ["PREFIX", "TINY", "Sizes", "read_sizes"]

PREFIX = "GPU_"
"""An environment variable is this and the name of the size in capitals. Lists have commas: ``GPU_BATCHES=1,64``."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes for an H100.

    Attributes:
        quick_tests: folders and files of tests to run besides ``tests/gpu``, and options of pytest.
        test_workers: processes that run those.
        resume_steps: steps of the uninterrupted run; the other run resumes at half of them.
        speed_batches: tasks a step to measure with TF32.
        speed_seconds: how long to measure each setting.
        images_per_task: pictures of each task of a training step.
        compile: whether to measure `torch.compile`, which takes a minute to compile.
        zoo_batches: how many p-Models to train together.
        zoo_models: p-Models of the zoo that is built.
        zoo_epochs: epochs of each p-Model.
        generic_epochs: epochs of the generic model.
        batches: how many models to generate in a call.
        half_batches: the same in bfloat16.
        generation_seconds: how long to measure each of them.
        preset: the denoiser of the full size.
        ddpm_steps: sampling steps of a model at full size.
        full_steps: training steps at full size, of which the first is not timed.
        curve_batch: tasks a step of the run with a validation curve.
        curve_tasks: validation tasks.
        curve_points: validations.
        curve_seconds: how long it lasts at most.
    """

    quick_tests: tuple[str, ...] = (
        "tests/generator",
        "--ignore=tests/generator/test_scheduler.py",  # needs diffusers
        "tests/classifier",
        "tests/targets",
    )
    test_workers: int = 8
    resume_steps: int = 200
    speed_batches: tuple[int, ...] = (16, 64, 256, 512)
    speed_seconds: float = 2.0
    images_per_task: int = 192
    compile: bool = True
    zoo_batches: tuple[int, ...] = (16, 64, 256)
    zoo_models: int = 128
    zoo_epochs: int = 8
    generic_epochs: int = 4
    batches: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 4096)
    half_batches: tuple[int, ...] = (1, 64)
    generation_seconds: float = 2.0
    preset: str = "tina"
    ddpm_steps: int = 1000
    full_steps: int = 4
    curve_batch: int = 256
    curve_tasks: int = 100
    curve_points: int = 5
    curve_seconds: float = 480.0


TINY = Sizes(
    quick_tests=(),
    resume_steps=4,
    speed_batches=(2, 4),
    speed_seconds=0.1,
    images_per_task=10,
    compile=False,
    zoo_batches=(2,),
    zoo_models=2,
    zoo_epochs=1,
    generic_epochs=1,
    batches=(1, 3),
    half_batches=(1,),
    generation_seconds=0.1,
    preset="tiny",
    ddpm_steps=20,
    full_steps=2,
    curve_batch=4,
    curve_tasks=2,
    curve_points=2,
    curve_seconds=4.0,
)
"""Sizes for a CPU: the whole takes about a minute, and its figures mean nothing."""


def read_sizes(tiny: bool, environment: Mapping[str, str] = os.environ) -> Sizes:
    """Return the sizes of a run, changed by the environment.

    Raises:
        ValueError: a variable is not of the type of its size.
    """
    sizes = TINY if tiny else Sizes()
    changes: dict[str, object] = {}
    for field in dataclasses.fields(sizes):
        text = environment.get(PREFIX + field.name.upper())
        if text is not None:
            changes[field.name] = _parse(text, getattr(sizes, field.name), PREFIX + field.name.upper())
    return dataclasses.replace(sizes, **changes)  # type: ignore[arg-type]


def _parse(text: str, present: object, name: str) -> object:
    try:
        if isinstance(present, tuple):
            kind = str if not present or isinstance(present[0], str) else int
            return tuple(kind(part) for part in text.split(",") if part)
        return bool(int(text)) if isinstance(present, bool) else type(present)(text)  # type: ignore[call-arg]
    except ValueError as error:
        raise ValueError(f"{name} is '{text}', which is no value like {present!r}.") from error
