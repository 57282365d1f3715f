"""The built-in methods of `tina evaluate`, one a file, and how methods are written and found.

A method is written ``NAME`` or ``NAME@ARGUMENT``: ``tina``, ``tina@ddpm:1000``, ``selection@OTHER_ZOO``. Names are those of
``registries().methods``, which plugins extend. Neither torch nor a method is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tina_framework.errors import ConfigError
from tina_framework.evaluation.paths import without_folders
from tina_framework.plugin.discovery import registries

if TYPE_CHECKING:
    from tina_framework.interfaces.architecture import TargetArchitecture
    from tina_framework.interfaces.method import Context, Method

__all__ = ["DEFAULT_METHODS", "MethodSpec", "default_methods", "methods_help", "parse_methods"]

DEFAULT_METHODS = "tina,generic,selection,average,nearest,fine-tune"
"""What is compared if ``--methods`` is not given; `default_methods` adds *zero-shot* where it applies."""


@dataclass(frozen=True)
class MethodSpec:
    """One method as the user wrote it.

    Attributes:
        name: a registered name.
        argument: the text after ``@``; None if there is no ``@``.
    """

    name: str
    argument: str | None

    @property
    def label(self) -> str:
        """What the method's rows are called. Of an absolute path only the last part is shown."""
        return self.name if self.argument is None else f"{self.name}@{without_folders(self.argument)}"

    def create(self, context: Context) -> Method:
        """Make the method for one evaluation. A method of a plugin is wrapped in one that checks its answers.

        Raises:
            TinaError: the method cannot be imported or made.
        """
        made: Method = registries().methods.create(self.name, context=context, argument=self.argument)
        return made


def parse_methods(text: str) -> list[MethodSpec]:
    """Parse a list such as ``tina,generic,selection``, and keep its order.

    Raises:
        UnknownNameError: there is no such method.
        ConfigError: the list is empty, names a method twice, or an argument is malformed.
        PluginError: the method of a plugin cannot be imported.
    """
    known = registries().methods
    labels = [part.strip() for part in text.split(",") if part.strip()]
    if not labels:
        raise ConfigError(f"--methods is empty; choose from {', '.join(entry.name for entry in known.entries())}.")
    specs: list[MethodSpec] = []
    for label in labels:
        name, at, argument = label.partition("@")
        entry = known.entry(name)
        spec = MethodSpec(name, argument if at else None)
        entry.check_argument(spec.argument)
        known.method_class(name).check_argument(spec.argument)
        if spec.argument is None and entry.argument_required:
            raise ConfigError(f"Method '{name}' needs an argument; write {entry.usage}.")
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


def methods_help(default: str) -> str:
    """Return the help text of ``--methods``: every method, how it is written, and what the command does without the option."""
    lines = "; ".join(f"{entry.usage}: {entry.summary}" for entry in registries().methods.entries())
    return f"Comma-separated list. {lines}. Default: {default}."
