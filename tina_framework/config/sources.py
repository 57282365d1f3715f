"""Load settings from flags, environment variables and a TOML file, and report all mistakes in one message.

The sources of pydantic-settings read the environment and the file. They are merged here and not by pydantic-settings, for
two reasons: a table in a flag replaces the table of the file, and every mistake is reported with its source.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from tina_framework.errors import ConfigError, shorten
from tina_framework.plugin.suggest import closest, did_you_mean
from tina_framework.storage.paths import user_path
from tina_framework.storage.toml import read_toml

__all__ = ["Settings", "from_text", "load_settings", "none_from_text", "weights_from_text"]


class Settings(BaseSettings):
    """Base class of settings. The constructor reads only its arguments; `load_settings` reads all sources."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *args: PydanticBaseSettingsSource,
        **others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Switch off the sources of pydantic-settings."""
        return (init_settings,)

    def contradictions(self) -> list[tuple[str, str]]:
        """Return (field, what was expected) for values that are valid alone but not together."""
        return []


_MAX_SETTINGS = 1000
"""Maximum number of settings in a file. Every wrong one is compared with all that exist."""

_MAX_ENTRIES = 1000
"""Maximum number of entries in a list or table."""

_MAX_SHOWN = 20
"""Maximum number of mistakes that a message lists."""

S = TypeVar("S", bound=Settings)


def from_text(value: Any) -> Any:
    """Parse a list that was given as text: JSON, or ``a,b,c``, which is easier to type in a shell."""
    if not isinstance(value, str):
        return _bounded(value)
    text = value.strip()
    if text.startswith(("[", "{")):
        try:
            return _bounded(json.loads(text))
        except RecursionError:
            raise ValueError("expected JSON, but it is nested too deeply") from None
        except ValueError as error:  # also for a number with thousands of digits
            raise ValueError(f"expected JSON, but {error}") from None
    return _bounded([part.strip() for part in text.split(",") if part.strip()])


def _bounded(value: Any) -> Any:
    """Return a list or table unchanged, but refuse a very long one, because each entry is checked one by one."""
    if isinstance(value, list | tuple | dict) and len(value) > _MAX_ENTRIES:
        raise ValueError(f"expected at most {_MAX_ENTRIES:,} entries, but there are {len(value):,}")
    return value


def weights_from_text(value: Any) -> Any:
    """Parse a table of weights that was given as text: JSON, or ``a:1,b:2``; ``a`` alone has the weight 1, and ``none`` is empty."""
    if isinstance(value, str) and none_from_text(value) is None:
        return {}
    parts = from_text(value)
    if not isinstance(parts, list):
        return parts
    pairs = [str(part).rpartition(":")[::2] if ":" in str(part) else (str(part), "1") for part in parts]
    return {name.strip(): weight for name, weight in pairs}


def none_from_text(value: Any) -> Any:
    """Turn the texts ``none``, ``null`` and ``off`` into None, because TOML and shells have no null."""
    return None if isinstance(value, str) and value.strip().lower() in ("none", "null", "off") else value


def load_settings(kind: type[S], flags: Mapping[str, Any] | None = None, file: Path | str | None = None) -> S:
    """Load settings from all sources.

    A flag overrides an environment variable, which overrides the file, which overrides the default.

    Args:
        kind: the class of the settings; `env_prefix` in its `model_config` begins the names of environment variables.
        flags: field -> text (or value), as typed.
        file: a TOML file with fields at its top level.

    Raises:
        ConfigError: a setting is wrong; the message lists every mistake with its value and where it came from.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    prefix = str(kind.model_config.get("env_prefix", ""))
    for name, value in _read_file(kind, file).items():
        values[name], origins[name] = value, f"file {file}"
    for name, value in _read_environment(kind, prefix).items():
        values[name], origins[name] = value, f"environment {prefix}{name.upper()}"
    for name, value in (flags or {}).items():
        values[name], origins[name] = value, f"flag --{name}"
    wrong: list[str] = []
    try:
        settings = kind(**values)
    except ValidationError as error:
        mistakes = _one_per_field(error)
        wrong = [_line(kind, prefix, e, values, origins) for e in mistakes]
        rest = _without(kind, values, mistakes)
        if rest is None:
            raise _config_error(wrong) from None
        settings = rest
        bad = {str(e["loc"][0]) for e in mistakes}
    else:
        bad = set()
    wrong += [
        f"{field} = {_shown(getattr(settings, field))} ({origins.get(field, 'default')}): {expected}"
        for field, expected in settings.contradictions()
        if field not in bad
    ]
    if wrong:
        raise _config_error(wrong)
    return settings


def _without(kind: type[S], values: Mapping[str, Any], mistakes: Sequence[ErrorDetails]) -> S | None:
    """Return the settings with defaults for the wrong ones, to find contradictions among the others.

    Returns None if the settings are wrong even so.
    """
    bad = {str(e["loc"][0]) for e in mistakes}
    required = {name for name, info in kind.model_fields.items() if info.is_required()}
    try:
        return kind(
            **{name: value for name, value in values.items() if name not in bad}, **dict.fromkeys(bad & required, "x")
        )
    except ValidationError:
        return None


def _read_file(kind: type[Settings], file: Path | str | None) -> dict[str, Any]:
    if file is None:
        return {}
    path = user_path(file)
    values = read_toml(path, "configuration file")
    if len(values) > _MAX_SETTINGS:
        raise ConfigError(
            f"The configuration file '{path}' has {len(values):,} settings, but there are {len(kind.model_fields)}. Check the file."
        )
    return values


def _read_environment(kind: type[Settings], prefix: str) -> dict[str, Any]:
    """Return the values of environment variables of the settings.

    Other programs may use the same prefix, so an unknown name counts only if it looks like a misspelt field. It is
    then reported as a mistake.
    """
    found = dict(EnvSettingsSource(kind)())
    for variable, value in os.environ.items():
        name = variable.lower().removeprefix(prefix.lower())
        unknown = variable.upper().startswith(prefix.upper()) and name not in kind.model_fields
        if unknown and closest(name, kind.model_fields, cutoff=0.85):
            found[name] = value
    return found


def _one_per_field(error: ValidationError) -> list[ErrorDetails]:
    """Keep one error for each field; pydantic reports one for each type that a field accepts."""
    return list({details["loc"][:1]: details for details in reversed(error.errors())}.values())[::-1]


def _line(
    kind: type[Settings], prefix: str, details: ErrorDetails, values: Mapping[str, Any], origins: Mapping[str, str]
) -> str:
    name = str(details["loc"][0])
    if details["type"] == "missing":
        help_text = kind.model_fields[name].description or ""
        meaning = f" ({help_text.rstrip('.')})" if help_text else ""
        return f"{name} is not set{meaning}: set it as --{name}, {prefix}{name.upper()} or in the file"
    where = f"{shorten(name)[1:-1]} = {_shown(values.get(name))} ({origins.get(name, 'default')})"
    if details["type"] == "extra_forbidden":
        return f"{where}: there is no such setting.{did_you_mean(name.replace('-', '_'), kind.model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    expected = message.replace("Input should be ", "expected ").replace("Input should ", "expected to ")
    expected = expected if len(expected) <= 300 else expected[:297] + "..."
    parts = get_origin(kind.model_fields[name].annotation) in (dict, list)
    entry = f"entry {str(details['loc'][1])[:40]}: " if parts and len(details["loc"]) > 1 else ""
    return f"{where}: {entry}{expected}"


def _config_error(lines: list[str]) -> ConfigError:
    """Return an error with one line for each mistake."""
    head = "1 setting is wrong:" if len(lines) == 1 else f"{len(lines)} settings are wrong:"
    ended = [line if line.endswith(("?", ".")) else f"{line}." for line in lines[:_MAX_SHOWN]]
    more = [f"  and {len(lines) - _MAX_SHOWN} more."] if len(lines) > _MAX_SHOWN else []
    return ConfigError("\n".join([head, *(f"  - {line}" for line in ended), *more]))


def _shown(value: Any) -> str:
    return shorten(str(value) if isinstance(value, Path) else value)
