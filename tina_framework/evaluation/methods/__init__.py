"""The methods `tina evaluate` can compare, one a file. The list of them is in `catalogue`.

A method is written ``NAME`` or ``NAME@ARGUMENT``: ``tina``, ``tina@ddpm:1000``, ``selection@OTHER_ZOO``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.evaluation.methods.catalogue import DEFAULT_METHODS, METHODS, MethodEntry, methods_help
from tina_framework.evaluation.paths import without_folders
from tina_framework.plugin.suggest import did_you_mean

if TYPE_CHECKING:
    from tina_framework.evaluation.context import Context
    from tina_framework.evaluation.method import Method
    from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = [
    "DEFAULT_METHODS",
    "METHODS",
    "MethodEntry",
    "MethodSpec",
    "default_methods",
    "methods_help",
    "parse_methods",
]


@dataclass(frozen=True)
class MethodSpec:
    """One method as the user wrote it.

    Attributes:
        name: a key of `METHODS`.
        argument: the text after ``@``; None if there is no ``@``.
    """

    name: str
    argument: str | None

    @property
    def label(self) -> str:
        """What the method's rows are called. Of an absolute path only the last part is shown."""
        return self.name if self.argument is None else f"{self.name}@{without_folders(self.argument)}"

    def create(self, context: Context) -> Method:
        """Make the method for one evaluation."""
        return METHODS[self.name].load()(context, self.argument)


def parse_methods(text: str) -> list[MethodSpec]:
    """Parse a list such as ``tina,generic,selection``, and keep its order.

    Raises:
        UnknownNameError: there is no such method.
        ConfigError: the list is empty, names a method twice, or an argument is malformed.
    """
    labels = [part.strip() for part in text.split(",") if part.strip()]
    if not labels:
        raise ConfigError(f"--methods is empty; choose from {', '.join(METHODS)}.")
    specs: list[MethodSpec] = []
    for label in labels:
        name, at, argument = label.partition("@")
        if name not in METHODS:
            suggestion = did_you_mean(name, METHODS, fold_case=True)
            raise UnknownNameError(f"Unknown method '{name}'.{suggestion} Known: {', '.join(METHODS)}.")
        spec = MethodSpec(name, argument if at else None)
        METHODS[name].load().check_argument(spec.argument)
        if spec.label in {other.label for other in specs}:
            raise ConfigError(
                f"--methods names two methods whose rows would both be called '{spec.label}'; drop or rename one."
            )
        specs.append(spec)
    return specs


def default_methods(architecture: TargetArchitecture) -> list[MethodSpec]:
    """Return `DEFAULT_METHODS`, and *zero-shot* where a frozen trunk's features lie in the space of an encoder.

    There the class names alone give a classifier without any training, so every other figure has to be compared with it.
    """
    zero_shot = architecture.trunk is not None and architecture.trunk.space is not None
    return parse_methods(f"{DEFAULT_METHODS},zero-shot" if zero_shot else DEFAULT_METHODS)
