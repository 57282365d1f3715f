"""Read what a generator is called with: prompts become conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tina_framework.errors import PromptError
from tina_framework.interfaces.encoder import Encoder
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks
from tina_framework.prompts.known_classes import KnownClasses
from tina_framework.prompts.sentence import classes_of

__all__ = ["are_encoded", "read_prompts"]


def read_prompts(
    prompts: Any, encoder: Encoder, template: int, memory: KnownClasses | None, known: Sequence[str]
) -> tuple[bool, list[EncodedTask]]:
    """(whether it is one task, the tasks).

    Raises:
        PromptError: as `encode_tasks` and `classes_of`.
    """
    if isinstance(prompts, EncodedTask):
        return True, [prompts]
    if isinstance(prompts, str):
        prompts = classes_of(prompts, known)
    elif isinstance(prompts, bytes) or not isinstance(prompts, Iterable):
        raise PromptError(
            f"The prompt is a single {type(prompts).__name__}; give a list of at least two classes, or one sentence about them."
        )
    prompts = list(prompts)
    if prompts and all(isinstance(prompt, EncodedTask) for prompt in prompts):
        return False, prompts
    single = not prompts or any(not isinstance(prompt, list | tuple) for prompt in prompts)
    return single, encode_tasks([prompts] if single else prompts, encoder, template, memory, known)


def are_encoded(prompts: Any) -> bool:
    """Whether they are conditions already."""
    return isinstance(prompts, EncodedTask) or any(isinstance(prompt, EncodedTask) for prompt in prompts)
