"""Ways to say a class: in words, with pictures, as a vector.

    from tina_framework import Generator, prompt

    tina = Generator.from_pretrained("cifar100-cnn")
    model = tina(["apple", prompt.text("a large grey animal with a trunk", label="elephant"),
                  prompt.images(["bus1.png", "bus2.png"], label="bus") + prompt.text("bus")])

A plain string is `text`, one PIL picture is zero-shot; several pictures of a class need `images`. Shapes: E condition width.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.prompts.class_prompt import ClassPrompt

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ClassPrompt", "images", "text", "vector"]


def text(*texts: str, label: str | None = None) -> ClassPrompt:
    """A class in words: a name, a description, or several of both, which are averaged.

    Args:
        texts: at least one.
        label: what the classifier answers; None: the first text.

    Raises:
        PromptError: no text or label, an empty one, or something that is no text.
    """
    if not texts:
        raise PromptError("prompt.text was given nothing; write a name or a description.")
    for one in texts:
        if not isinstance(one, str) or not one.strip():
            raise PromptError(f"prompt.text was given {one!r}; write a name or a description.")
    own = _label(texts[0] if label is None else label)
    if not own:
        raise PromptError(
            "prompt.text was given an empty label; write what the classifier shall answer, or leave it out."
        )
    return ClassPrompt(own, tuple(texts))


def images(pictures: Image.Image | str | Path | Sequence[Image.Image | str | Path], label: str = "") -> ClassPrompt:
    """A class shown: one picture (zero-shot) or several (few-shot, averaged).

    Args:
        pictures: PIL pictures or files, or a folder of files.
        label: what the classifier answers; empty: "class 3" for the third class of a task.

    Raises:
        PromptError: no picture; or the label is no text.
        DataError: a file that is missing, damaged or too large.
    """
    from tina_framework.prompts.pictures import read_pictures

    return ClassPrompt(_label(label), images=read_pictures(pictures))


def vector(values: Any, label: str) -> ClassPrompt:
    """A class as a vector (E,) of the encoder's space, for those who have encoded it themselves.

    Raises:
        PromptError: it is not one row of finite numbers, or all zero; or it has no label.
    """
    try:
        with np.errstate(over="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            row: npt.NDArray[np.float32] = np.asarray(values, dtype=np.float32)
    except (
        TypeError,
        ValueError,
        RuntimeError,
        np.exceptions.ComplexWarning,
    ):  # RuntimeError: a tensor that wants gradients
        raise PromptError(
            f"prompt.vector was given {type(values).__name__}; give one row of numbers, real ones and detached from any gradient."
        ) from None
    if row.ndim != 1 or not np.isfinite(row).all() or not row.any():
        raise PromptError(
            f"prompt.vector was given an array of shape {row.shape}; give one row of finite numbers, not all zero."
        )
    own = _label(label)
    if not own:
        raise PromptError("prompt.vector needs a label: a vector has no name.")
    return ClassPrompt(own, vectors=(row,))


def _label(label: Any) -> str:
    if not isinstance(label, str):
        raise PromptError(f"A label is {label!r}; write a text, which the classifier answers.")
    return label.strip()
