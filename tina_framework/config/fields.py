"""Field types that the training settings share, and the mark of a setting that may change when a run is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.types import JsonValue
from pydantic_settings import NoDecode

from tina_framework.config.sources import Settings, from_text, none_from_text
from tina_framework.storage.paths import user_path

__all__ = [
    "MAY_CHANGE",
    "Count",
    "CountOrNone",
    "Fraction",
    "FractionBelowOne",
    "NotNegative",
    "NotNegativeCount",
    "OrNone",
    "Positive",
    "Section",
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

Fraction = Annotated[float, Field(ge=0, le=1)]
FractionBelowOne = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
NotNegativeCount = Annotated[int, Field(ge=0)]
CountOrNone = Annotated[Count | None, OrNone]

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
