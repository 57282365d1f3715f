"""What a user says about one class: words, pictures, vectors, or several of these.

Shapes: E condition width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ClassPrompt", "as_prompt"]


@dataclass(frozen=True, eq=False)
class ClassPrompt:
    """One class. Made by the functions of `tina_framework.prompts.build`; ``a + b`` says the same class in both ways.

    Attributes:
        label: what the classifier answers for this class.
        texts: names and descriptions.
        images: RGB pictures.
        vectors: (E,) vectors of the encoder's space.
    """

    label: str
    texts: tuple[str, ...] = ()
    images: tuple[Image.Image, ...] = ()
    vectors: tuple[npt.NDArray[np.float32], ...] = ()

    def __add__(self, other: ClassPrompt) -> ClassPrompt:
        """Both ways of saying it, under the first one's label (the second's, if the first one has none)."""
        if not isinstance(other, ClassPrompt):
            return NotImplemented
        return ClassPrompt(
            self.label or other.label,
            self.texts + other.texts,
            self.images + other.images,
            self.vectors + other.vectors,
        )

    @property
    def num_words(self) -> int:
        """Of the longest text: a description resembles a name less than another name does, known or not."""
        return max((len(text.split()) for text in self.texts), default=0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of ``text``, ``images`` and ``vector`` it is said with."""
        kinds = {"text": self.texts, "images": self.images, "vector": self.vectors}
        return tuple(kind for kind, given in kinds.items() if given)

    def to_json(self) -> dict[str, Any]:
        """What a classifier remembers of it: words, how many pictures, whether vectors; no pixels."""
        found: dict[str, Any] = {"label": self.label}
        if self.texts:
            found["texts"] = list(self.texts)
        if self.images:
            found["images"] = len(self.images)
        if self.vectors:
            found["vectors"] = len(self.vectors)
        return found


def as_prompt(value: Any, position: int) -> ClassPrompt:
    """A plain string, a picture (PIL, one alone: zero-shot) or a prompt as it is.

    Args:
        value: what stands in a task.
        position: its place, from 0: what a picture without a name is called.

    Raises:
        PromptError: something else.
    """
    if isinstance(value, ClassPrompt):
        return value if value.label else ClassPrompt(f"class {position + 1}", value.texts, value.images, value.vectors)
    if isinstance(value, str):
        return ClassPrompt(value.strip(), (value,))
    from PIL import Image

    if isinstance(value, Image.Image):
        from tina_framework.prompts.pictures import read_pictures

        return ClassPrompt(f"class {position + 1}", images=read_pictures(value))
    if isinstance(value, Path):
        raise PromptError(f"'{value}' is a path, which may be a name or a picture; write prompt.images(['{value}']).")
    if isinstance(value, np.ndarray):
        raise PromptError("A class was given as a plain array; write prompt.vector(array, label=...).")
    if isinstance(value, Sequence):
        raise PromptError(
            f"{value!r} is not a class name; several pictures of one class are prompt.images([...]), and a list of tasks holds lists alone."
        )
    raise PromptError(
        f"{value!r} is not a class name; give texts, pictures (PIL), or what the functions of tina_framework.prompts.build make."
    )
