"""The methods that `tina evaluate` compares: where each one is implemented, how it is written and what it does.

This list imports neither torch nor the methods, so that the command line can show it in ``--help`` without delay.

Terms used here and in every table of results:

- *generic model*: one network with an output for every class of the data set, trained on all of them.
- *p-Model* (personalised model): the generic model fine-tuned on the images of one task's classes. A zoo stores many.
- *selection*: the generic model with only the outputs of the task's classes. It costs nothing, so every other method is
  compared with it.
- *shared tensors*: the parameters without a class axis. *Class rows*: the parts of the others that belong to one class.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tina_framework.evaluation.method import Method

__all__ = ["DEFAULT_METHODS", "METHODS", "MethodEntry", "methods_help"]


@dataclass(frozen=True)
class MethodEntry:
    """One method of the list.

    Attributes:
        target: ``module:attribute`` of its class.
        summary: what it does, in one line without a final period.
        argument: how its argument is written; None: the method takes none.
        argument_required: whether the method cannot do without its argument.
    """

    target: str
    summary: str
    argument: str | None = None
    argument_required: bool = False

    def load(self) -> type[Method]:
        """Import the method's class. This imports torch."""
        module, _, attribute = self.target.partition(":")
        method: type[Method] = getattr(importlib.import_module(module), attribute)
        return method

    def usage(self, name: str) -> str:
        """Return how the method is written after ``--methods``, e.g. ``ridge[@STRENGTH]``."""
        if self.argument is None:
            return name
        return f"{name}@{self.argument}" if self.argument_required else f"{name}[@{self.argument}]"


_HERE = "tina_framework.evaluation.methods"
_SAMPLER = "[SCHEDULER:]STEPS"

METHODS: dict[str, MethodEntry] = {
    "tina": MethodEntry(f"{_HERE}.tina:Tina", "the generator, with its own sampler or another one", _SAMPLER),
    "common": MethodEntry(
        f"{_HERE}.common:Common", "the generator with its shared tensors averaged over training tasks", _SAMPLER
    ),
    "chance": MethodEntry(f"{_HERE}.chance:Chance", "a network of zeros, which gives every image the same class"),
    "random-prompt": MethodEntry(
        f"{_HERE}.random_prompt:RandomPrompt", "the generator with random vectors in place of the prompts", _SAMPLER
    ),
    "generic": MethodEntry(f"{_HERE}.generic:Generic", "the generic model with its outputs for all classes"),
    "selection": MethodEntry(
        f"{_HERE}.selection:Selection",
        "the generic model with only the outputs of the task's classes",
        "ZOO, MODEL or FILE.safetensors",
    ),
    "substitute": MethodEntry(
        f"{_HERE}.substitute:Substitute", "selection, with the most similar known class for each unknown one"
    ),
    "average": MethodEntry(f"{_HERE}.average:Average", "the mean of the zoo's p-Models"),
    "nearest": MethodEntry(f"{_HERE}.nearest:Nearest", "the zoo's p-Model of the most similar training task"),
    "noise": MethodEntry(f"{_HERE}.noise:Noise", "nearest, with Gaussian noise on every parameter", "SCALE"),
    "ridge": MethodEntry(
        f"{_HERE}.ridge:Ridge", "class rows predicted from text vectors by ridge regression", "STRENGTH"
    ),
    "regressor": MethodEntry(
        f"{_HERE}.regressor:Regressor", "a generator that was trained without diffusion", "MODEL", True
    ),
    "taper": MethodEntry(f"{_HERE}.taper:Taper", "basis models mixed by text (TAPER)", "FOLDER", True),
    "fine-tune": MethodEntry(
        f"{_HERE}.fine_tune:FineTune",
        "the generic model trained on the task's own images",
        "long, short or FIELD=VALUE:...",
    ),
    "p-model": MethodEntry(f"{_HERE}.p_model:PModel", "the stored p-Model, for tasks that are in the zoo"),
    "zero-shot": MethodEntry(
        f"{_HERE}.zero_shot:ZeroShot", "text vectors of the class names as the linear head (CLIP)", "TEMPLATE"
    ),
}
"""Name -> entry, in the order in which help and messages list them."""

DEFAULT_METHODS = "tina,generic,selection,average,nearest,fine-tune"
"""What is compared if ``--methods`` is not given; `default_methods` adds *zero-shot* where it applies."""


def methods_help() -> str:
    """Return the help text of ``--methods``: every method, how it is written, and the default."""
    lines = "; ".join(f"{entry.usage(name)}: {entry.summary}" for name, entry in METHODS.items())
    return f"Comma-separated list. {lines}. Default: {DEFAULT_METHODS}, and zero-shot where it applies."
