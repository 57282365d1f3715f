"""The methods `tina evaluate` can compare, one a file.

A method is written ``NAME`` or ``NAME@ARGUMENT``: ``tina``, ``tina@ddpm:1000``, ``selection@OTHER_ZOO``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.evaluation.context import Context
from tina_framework.evaluation.method import Method
from tina_framework.evaluation.methods.average import Average
from tina_framework.evaluation.methods.chance import Chance
from tina_framework.evaluation.methods.common import Common
from tina_framework.evaluation.methods.fine_tune import FineTune
from tina_framework.evaluation.methods.generic import Generic
from tina_framework.evaluation.methods.nearest import Nearest
from tina_framework.evaluation.methods.noise import Noise
from tina_framework.evaluation.methods.p_model import PModel
from tina_framework.evaluation.methods.random_prompt import RandomPrompt
from tina_framework.evaluation.methods.regressor import Regressor
from tina_framework.evaluation.methods.ridge import Ridge
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.evaluation.methods.substitute import Substitute
from tina_framework.evaluation.methods.taper import Taper
from tina_framework.evaluation.methods.tina import Tina
from tina_framework.evaluation.methods.zero_shot import ZeroShot
from tina_framework.evaluation.paths import without_folders
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.plugin.suggest import did_you_mean

__all__ = ["DEFAULT_METHODS", "METHODS", "MethodSpec", "default_methods", "parse_methods"]

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Tina,
        Common,
        Chance,
        RandomPrompt,
        Generic,
        Selection,
        Substitute,
        Average,
        Nearest,
        Noise,
        Ridge,
        Regressor,
        Taper,
        FineTune,
        PModel,
        ZeroShot,
    )
}

DEFAULT_METHODS = "tina,generic,selection,average,nearest,fine-tune"
"""What is compared where nobody says otherwise; see `default_methods`."""


@dataclass(frozen=True)
class MethodSpec:
    """One method as the user wrote it."""

    name: str
    argument: str | None

    @property
    def label(self) -> str:
        """How its rows are called; of an absolute path only the last part."""
        return self.name if self.argument is None else f"{self.name}@{without_folders(self.argument)}"

    def create(self, context: Context) -> Method:
        return METHODS[self.name](context, self.argument)


def parse_methods(text: str) -> list[MethodSpec]:
    """``tina,generic,selection`` -> what to run, in that order.

    Raises:
        UnknownNameError: there is no such method.
        ConfigError: none is named, one twice, or an argument is malformed.
    """
    labels = [part.strip() for part in text.split(",") if part.strip()]
    if not labels:
        raise ConfigError(f"--methods names none; choose from {', '.join(METHODS)}.")
    specs: list[MethodSpec] = []
    for label in labels:
        name, at, argument = label.partition("@")
        if name not in METHODS:
            suggestion = did_you_mean(name, METHODS, fold_case=True)
            raise UnknownNameError(f"Unknown method '{name}'.{suggestion} Known: {', '.join(METHODS)}.")
        spec = MethodSpec(name, argument if at else None)
        METHODS[name].check_argument(spec.argument)
        if spec.label in {other.label for other in specs}:
            raise ConfigError(
                f"--methods names two methods whose rows would both be called '{spec.label}'; drop or rename one."
            )
        specs.append(spec)
    return specs


def default_methods(architecture: TargetArchitecture) -> list[MethodSpec]:
    """`DEFAULT_METHODS`, and *zero-shot* where the features of a frozen trunk lie in a space that encoders speak.

    There a classifier comes for free with the class names: no other figure means much without that one beside it.
    """
    zero_shot = architecture.trunk is not None and architecture.trunk.space is not None
    return parse_methods(f"{DEFAULT_METHODS},{ZeroShot.name}" if zero_shot else DEFAULT_METHODS)
