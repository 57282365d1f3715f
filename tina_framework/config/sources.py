"""Settings from flags, environment and a TOML file: who wins, where a value came from, and all mistakes in one message.

Built on pydantic-settings, whose sources read the environment and the file; they are merged here, so that a table in a
flag replaces the file's table (and is not mixed with it) and every mistake is reported with its source.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, TomlConfigSettingsSource

from tina_framework.errors import ConfigError
from tina_framework.plugin.suggest import closest, did_you_mean

__all__ = ["Settings", "from_text", "load_settings", "none_from_text", "weights_from_text"]


class Settings(BaseSettings):
    """Settings that, built directly, read nothing but their arguments; `load_settings` reads the other sources."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *args: PydanticBaseSettingsSource,
        **others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    def contradictions(self) -> list[tuple[str, str]]:
        """(field, what was expected) for values that are fine alone but not together."""
        return []


S = TypeVar("S", bound=Settings)


def from_text(value: Any) -> Any:
    """A list or table given as text: JSON, else ``a,b,c`` or ``a:1,b:2`` (what one types in a shell)."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"expected JSON, but {error}") from None
    return [part.strip() for part in text.split(",") if part.strip()]


def weights_from_text(value: Any) -> Any:
    """As `from_text`, for a table: ``a:1,b:2``; ``a`` alone weighs 1."""
    parts = from_text(value)
    if not isinstance(parts, list):
        return parts
    pairs = [str(part).rpartition(":")[::2] if ":" in str(part) else (str(part), "1") for part in parts]
    return {name.strip(): weight for name, weight in pairs}


def none_from_text(value: Any) -> Any:
    """TOML and shells have no null: ``none`` stands for it."""
    return None if isinstance(value, str) and value.strip().lower() in ("none", "null", "off") else value


def load_settings(kind: type[S], flags: Mapping[str, Any] | None = None, file: Path | str | None = None) -> S:
    """Reads all sources; a flag goes over an environment variable, that over the file, that over the default.

    Args:
        kind: the settings' class; its `env_prefix` begins the names of its environment variables.
        flags: field -> text (or value), as typed.
        file: a TOML file with fields at its top level.

    Raises:
        ConfigError: something is wrong; the message names every mistake with its value and where it came from.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    prefix = str(kind.model_config.get("env_prefix", ""))
    for name, value in _read_toml(kind, file).items():
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
        f"{field} = {_short(getattr(settings, field))} ({origins.get(field, 'default')}): {expected}"
        for field, expected in settings.contradictions()
        if field not in bad
    ]
    if wrong:
        raise _config_error(wrong)
    return settings


def _without(kind: type[S], values: Mapping[str, Any], mistakes: Sequence[ErrorDetails]) -> S | None:
    """The settings with the wrong ones at their defaults, to look for contradictions among the others; None if none can be made."""
    bad = {str(e["loc"][0]) for e in mistakes}
    required = {name for name, info in kind.model_fields.items() if info.is_required()}
    try:
        return kind(
            **{name: value for name, value in values.items() if name not in bad}, **dict.fromkeys(bad & required, "x")
        )
    except ValidationError:
        return None


def _read_toml(kind: type[Settings], file: Path | str | None) -> dict[str, Any]:
    if file is None:
        return {}
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"The configuration file '{path}' does not exist; check the path.")
    try:
        return dict(TomlConfigSettingsSource(kind, path)())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file '{path}' is not TOML: {error}. Correct it.") from None
    except OSError as error:
        raise ConfigError(f"The configuration file '{path}' cannot be read ({error.strerror}).") from None


def _read_environment(kind: type[Settings], prefix: str) -> dict[str, Any]:
    """The fields' variables. Others may begin with the same prefix; only what looks like a misspelt field is taken."""
    found = dict(EnvSettingsSource(kind)())
    for variable, value in os.environ.items():
        name = variable.lower().removeprefix(prefix.lower())
        foreign = variable.upper().startswith(prefix.upper()) and name not in kind.model_fields
        if foreign and closest(name, kind.model_fields, cutoff=0.85):
            found[name] = value
    return found


def _one_per_field(error: ValidationError) -> list[ErrorDetails]:
    """A field that accepts several types fails once a type; one line says enough."""
    return list({details["loc"][:1]: details for details in reversed(error.errors())}.values())[::-1]


def _line(
    kind: type[Settings], prefix: str, details: ErrorDetails, values: Mapping[str, Any], origins: Mapping[str, str]
) -> str:
    name = str(details["loc"][0])
    if details["type"] == "missing":
        help_text = kind.model_fields[name].description or ""
        meaning = f" ({help_text.rstrip('.')})" if help_text else ""
        return f"{name} is not set{meaning}: expected it as --{name}, {prefix}{name.upper()} or in the file"
    where = f"{name} = {_short(values.get(name))} ({origins.get(name, 'default')})"
    if details["type"] == "extra_forbidden":
        return f"{where}: there is no such setting.{did_you_mean(name.replace('-', '_'), kind.model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    expected = message.replace("Input should be ", "expected ").replace("Input should ", "expected to ")
    parts = get_origin(kind.model_fields[name].annotation) in (dict, list)
    entry = f"entry {details['loc'][1]}: " if parts and len(details["loc"]) > 1 else ""
    return f"{where}: {entry}{expected}"


def _config_error(lines: list[str]) -> ConfigError:
    head = "1 setting is wrong:" if len(lines) == 1 else f"{len(lines)} settings are wrong:"
    ended = [line if line.endswith(("?", ".")) else f"{line}." for line in lines]
    return ConfigError("\n".join([head, *(f"  - {line}" for line in ended)]))


def _short(value: Any) -> str:
    text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= 80 else text[:77] + "..."
