"""Field types that the training settings share, and the mark of a setting that may change when a run is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.types import JsonValue
from pydantic_settings import NoDecode

from tina_framework.config.sources import Settings, from_text, none_from_text
from tina_framework.interfaces.whole_numbers import plain_number
from tina_framework.storage.paths import user_path

__all__ = [
    "MAX_COUNT",
    "MAY_CHANGE",
    "Count",
    "CountOrNone",
    "Fraction",
    "FractionBelowOne",
    "NotNegative",
    "NotNegativeCount",
    "Number",
    "OrNone",
    "Positive",
    "Section",
    "Steps",
    "TextList",
    "UserPath",
    "UserPathText",
    "may_change",
]

TextList = Annotated[list[str], NoDecode, BeforeValidator(from_text)]
"""A list of texts; in a shell ``a,b,c`` or JSON."""

UserPath = Annotated[Path, AfterValidator(user_path)]
"""A path, in which ``~`` is the home folder."""

UserPathText = AfterValidator(lambda text: str(user_path(text)) if text and text.startswith("~") else text)
"""For a text that may be a path or another name: a leading ``~`` is the home folder."""

OrNone = BeforeValidator(none_from_text)
"""Lets the text ``none`` mean None: TOML and shells have no null."""


def _number(value: Any) -> Any:
    """Take scalars of NumPy and torch. Refuse truth values, which pydantic would take as 0 and 1."""
    value = plain_number(value)
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Number = BeforeValidator(_number)
"""Lets a number also be a scalar of NumPy or torch, and refuses truth values."""

MAX_COUNT = 1_000_000
"""Upper bound of batch sizes and similar counts. Useful values are far below it, and larger ones would fill the memory."""

Fraction = Annotated[float, Number, Field(ge=0, le=1)]
FractionBelowOne = Annotated[float, Number, Field(ge=0, lt=1)]
Positive = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Number, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Number, Field(ge=1, le=MAX_COUNT)]
NotNegativeCount = Annotated[int, Number, Field(ge=0, le=MAX_COUNT)]
CountOrNone = Annotated[Count | None, OrNone]
Steps = Annotated[int, Number, Field(ge=1, le=10**9)]
"""A number of optimizer steps."""

MAY_CHANGE: dict[str, JsonValue] = {"may_change_on_resume": True}
"""Pass it as `json_schema_extra` of a field that does not influence what later training steps compute."""


class Section(Settings):
    """The settings of one component of a training run.

    `TrainingConfig` inherits from all sections, so the names of settings stay flat.

    Attributes:
        title: heading over these settings in the help page and in the documentation.
    """

    title: ClassVar[str]


def may_change(settings: type[Settings]) -> frozenset[str]:
    """Return the names of the fields marked with `MAY_CHANGE`."""
    return frozenset(
        name
        for name, info in settings.model_fields.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("may_change_on_resume")
    )
