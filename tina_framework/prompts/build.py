"""Describe a class to a generator: in words, with pictures, or as a vector.

    from tina_framework import Generator, prompt

    tina = Generator.from_pretrained("cifar100-cnn")
    model = tina(["apple", prompt.text("a large grey animal with a trunk", label="elephant"),
                  prompt.images(["bus1.png", "bus2.png"], label="bus") + prompt.text("bus")])

A plain string in a task means `text`, and a single PIL picture means `images`. Several pictures of one class need `images`.

Shapes: E width of the encoder's vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError, shorten
from tina_framework.prompts.class_prompt import ClassPrompt

__all__ = ["ClassPrompt", "images", "text", "vector"]


def text(*texts: str, label: str | None = None) -> ClassPrompt:
    """Describe a class in words: by a name, a description, or several of both, whose vectors are averaged.

    Args:
        texts: at least one name or description.
        label: what the classifier answers; default: the first text.

    Raises:
        PromptError: no text is given, or a text or the label is empty or not a string.
    """
    if not texts:
        raise PromptError("prompt.text got no text; give a name or a description.")
    for one in texts:
        if not isinstance(one, str) or not one.strip():
            raise PromptError(f"prompt.text got {shorten(one)}; give a name or a description.")
    own = _label(texts[0] if label is None else label)
    if not own:
        raise PromptError("prompt.text got an empty label; give the answer of the classifier, or leave the label out.")
    return ClassPrompt(own, tuple(texts))


def images(pictures: Any, label: str = "") -> ClassPrompt:
    """Show a class by one picture, or by several, whose vectors are averaged.

    Args:
        pictures: PIL pictures, files, the bytes of files, open files, uint8 arrays, or a folder of files: one, or a sequence or
            iterator of several.
        label: what the classifier answers; default: "class 3" for the third class of a task.

    Raises:
        PromptError: there is no picture, or the label is not a string.
        DataError: a file is missing, damaged or too large.
    """
    from tina_framework.prompts.pictures import read_pictures

    return ClassPrompt(_label(label), images=read_pictures(pictures))


def vector(values: Any, label: str) -> ClassPrompt:
    """Give a class as a vector (E,) of the encoder's space. The generator reads the vector unchanged.

    Raises:
        PromptError: the values are not one row of finite numbers, or are all zero; or the label is empty.
    """
    try:
        # A filter that turns NumPy's warning of complex numbers into an error would act on all threads.
        if np.iscomplexobj(np.asarray(values)):
            raise TypeError
        with np.errstate(over="ignore"):
            row: npt.NDArray[np.float32] = np.asarray(values, dtype=np.float32)
    # numpy raises RuntimeError for a tensor that requires gradients.
    except (TypeError, ValueError, RuntimeError):
        raise PromptError(
            f"prompt.vector got {type(values).__name__}; give one row of real numbers. Detach a tensor that requires gradients."
        ) from None
    if row.ndim != 1 or not np.isfinite(row).all() or not row.any():
        raise PromptError(
            f"prompt.vector got an array of shape {row.shape}; give one row of finite numbers that are not all zero."
        )
    own = _label(label)
    if not own:
        raise PromptError(
            "prompt.vector got an empty label; give the answer of the classifier, because a vector has no name."
        )
    return ClassPrompt(own, vectors=(row,))


def _label(label: Any) -> str:
    if not isinstance(label, str):
        raise PromptError(f"A label is {shorten(label)}; give a string, which the classifier answers.")
    return label.strip()
