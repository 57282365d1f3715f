"""`ClassPrompt`: what a user gives for one class. It may hold words, pictures, vectors, or several of these.

Shapes: E width of the encoder's vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError, shorten
from tina_framework.interfaces.class_names import MAX_TEXT_LENGTH, normalize_name
from tina_framework.prompts.limits import MAX_TEXTS

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ClassPrompt", "as_prompt"]


# Pictures and arrays have no simple equality, so prompts are compared by identity.
@dataclass(frozen=True, eq=False)
class ClassPrompt:
    """What is given for one class. Use the functions of `tina_framework.prompts.build` to make it.

    ``a + b`` combines two prompts of the same class. Label and texts are normalised (see `tina_framework.interfaces.class_names`).

    Attributes:
        label: what the classifier answers for this class.
        texts: names and descriptions.
        images: RGB pictures.
        vectors: vectors (E,) of the encoder's space.

    Raises:
        PromptError: the label or a text is not a string, or there are more than `MAX_TEXTS` texts.
    """

    label: str
    texts: tuple[str, ...] = ()
    images: tuple[Image.Image, ...] = ()
    vectors: tuple[npt.NDArray[np.float32], ...] = ()

    def __post_init__(self) -> None:
        if len(self.texts) > MAX_TEXTS:
            raise PromptError(
                f"A class has {len(self.texts):,} names and descriptions, but at most {MAX_TEXTS} are allowed; leave some out."
            )
        given, label = self.label, _normalized(self.label)
        object.__setattr__(self, "label", label)
        # A plain name is both, and need not be normalised twice.
        object.__setattr__(self, "texts", tuple(label if text is given else _normalized(text) for text in self.texts))

    def __add__(self, other: ClassPrompt) -> ClassPrompt:
        """Combine two prompts of one class. The first label counts, or the second if the first is empty."""
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
        """Number of words in the longest text. `Familiarity` needs it: long texts resemble every known name less."""
        return max((len(text.split()) for text in self.texts), default=0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of ``text``, ``images`` and ``vector`` are given."""
        kinds = {"text": self.texts, "images": self.images, "vector": self.vectors}
        return tuple(kind for kind, given in kinds.items() if given)

    def to_json(self) -> dict[str, Any]:
        """Return what a classifier records: the texts, and the numbers of pictures and vectors, but no pixels."""
        found: dict[str, Any] = {"label": self.label}
        if self.texts:
            found["texts"] = list(self.texts)
        if self.images:
            found["images"] = len(self.images)
        if self.vectors:
            found["vectors"] = len(self.vectors)
        return found


def _normalized(text: Any) -> str:
    if not isinstance(text, str):
        raise PromptError(f"A class has {shorten(text)} for a label or text; give a string.")
    # A longer text is refused when its task is checked, and normalising it could take seconds.
    return normalize_name(text) if len(text) <= MAX_TEXT_LENGTH else text


def as_prompt(value: Any, position: int) -> ClassPrompt:
    """Return one entry of a task as a prompt.

    Args:
        value: a string, a PIL picture or a `ClassPrompt`.
        position: index of the class in the task, from 0. It names a class that has no label.

    Raises:
        PromptError: the value has another type.
    """
    if isinstance(value, ClassPrompt):
        return value if value.label else ClassPrompt(f"class {position + 1}", value.texts, value.images, value.vectors)
    if isinstance(value, str):
        return ClassPrompt(value, (value,))
    from PIL import Image

    if isinstance(value, Image.Image):
        from tina_framework.prompts.pictures import read_pictures

        return ClassPrompt(f"class {position + 1}", images=read_pictures(value))
    # A path is neither read nor taken for a name, because a mistake would give a classifier of the wrong class.
    if isinstance(value, Path):
        raise PromptError(
            f"{shorten(str(value))} is a path, which may mean a name or a picture; write str(path) for a name, or "
            f"prompt.images([{shorten(str(value))}])."
        )
    if isinstance(value, np.ndarray):
        raise PromptError("A class is given as an array without a label; write prompt.vector(array, label=...).")
    if isinstance(value, Sequence):
        raise PromptError(
            f"{shorten(value)} is not a class name. For several pictures of one class write prompt.images([...]); in a list of tasks, "
            "every task is a list."
        )
    raise PromptError(
        f"{shorten(value)} is not a class name; give a string, a PIL picture, or a prompt from tina_framework.prompts.build."
    )
