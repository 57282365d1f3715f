"""The command line of training: ``--config FILE`` and one flag for each setting. Imports no torch."""

from __future__ import annotations

import textwrap
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from tina_framework.config.fields import Section, may_change
from tina_framework.config.training import ENVIRONMENT_PREFIX, SECTIONS, TrainingConfig
from tina_framework.errors import ConfigError
from tina_framework.storage.paths import user_path

__all__ = ["Arguments", "help_text", "parse_arguments", "settings_tables"]


@dataclass
class Arguments:
    """The parsed command line; values are not checked yet.

    Attributes:
        config_file: the TOML file with settings.
        plugins: Python files to run before training, which may register plugins.
        flags: setting -> text, or a list of texts if a flag for a list was repeated.
        help: whether to print the help page.
    """

    config_file: Path | None = None
    plugins: list[Path] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    help: bool = False


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Parse ``--name value`` and ``--name=value``, and for switches also ``--name`` and ``--no-name``.

    Names may be written with hyphens instead of underscores. Unknown names are kept: loading the settings reports them.

    Raises:
        ConfigError: a word belongs to no flag, or a flag has no value.
    """
    parsed, waiting = Arguments(), list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word in ("-h", "--help"):
            parsed.help = True
            continue
        if not word.startswith("--") or len(word) == 2:
            raise ConfigError(f"'{word}' belongs to no flag. Write --field value; --help lists all fields.")
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if not equals:
            has_value = bool(waiting) and not waiting[0].startswith("--")
            if _is_switch(name) and not (has_value and waiting[0].lower() in _BOOLEANS):
                value = "true"
            elif name.startswith("no_") and _is_switch(name[3:]):
                name, value = name[3:], "false"
            elif has_value:
                value = waiting.pop(0)
            else:
                raise ConfigError(f"The flag '{word}' has no value. Write {word} VALUE; --help lists all flags.")
        _store(parsed, name, value)
    return parsed


_BOOLEANS = frozenset({"true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n"})


def _store(parsed: Arguments, name: str, value: str) -> None:
    if name == "config":
        parsed.config_file = user_path(value)
    elif name == "plugin":
        parsed.plugins.append(user_path(value))
    elif name in parsed.flags and _plain_type(name) is list:
        before = parsed.flags[name]
        parsed.flags[name] = [*(before if isinstance(before, list) else [before]), value]
    else:
        parsed.flags[name] = value


def _is_switch(name: str) -> bool:
    return _plain_type(name) is bool


def _plain_type(name: str) -> Any:
    """Return the type of a setting without annotations and None; of a generic type such as list[str], its origin."""
    field_info = TrainingConfig.model_fields.get(name)
    kind: Any = field_info.annotation if field_info is not None else None
    while get_origin(kind) in (Annotated, Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind if get_origin(kind) in (None, Literal) else get_origin(kind)


_VALUE_NAMES = {
    int: "INT",
    float: "NUMBER",
    str: "TEXT",
    bool: "true|false",
    list: "A,B",
    dict: "A:1,B:2",
    Path: "PATH",
}


def help_text(program: str) -> str:
    """Return the help page: every setting with its default, under the heading of its section."""
    lines = [
        f"Usage: {program} [--config FILE.toml] [--plugin FILE.py] [--field value ...]",
        "",
        *textwrap.wrap(
            "Trains a generator. Each setting is a flag, a field of the TOML file, and an environment variable "
            f"({ENVIRONMENT_PREFIX} and the name in capitals). A flag overrides the environment, which overrides the file. "
            "To use several processes: accelerate launch -m tina_framework.training ...",
            100,
        ),
    ]
    for section in SECTIONS:
        lines += ["", f"{section.title}:"]
        for setting in _settings(section):
            lines.append(f"  --{setting.name} {setting.value}")
            indent = " " * 8
            lines += textwrap.wrap(
                f"{setting.description} [{setting.default}]", 100, initial_indent=indent, subsequent_indent=indent
            )
    return "\n".join(lines)


def settings_tables() -> list[str]:
    """Return the lines of the Markdown tables in `docs/reference/settings.md`, one table for each section."""
    lines = []
    for section in SECTIONS:
        lines += [f"## {section.title}", "", *(section.__doc__ or "").splitlines()[:1], ""]
        lines += ["| setting | default | meaning | may change on resume |", "|---|---|---|---|"]
        free = may_change(section)
        for setting in _settings(section):
            default = setting.default.removeprefix("default: ")
            description = setting.description.replace("|", ", ")
            lines.append(
                f"| `{setting.name}` | {default} | {description} | {'yes' if setting.name in free else 'no'} |"
            )
        lines.append("")
    return lines


@dataclass(frozen=True)
class _ShownSetting:
    """What the help page shows of a setting; `value` is a placeholder such as ``INT``, or the choices."""

    name: str
    value: str
    default: str
    description: str


def _settings(section: type[Section]) -> Iterator[_ShownSetting]:
    for name, info in section.model_fields.items():
        kind = _plain_type(name)
        value = "|".join(map(str, get_args(kind))) if get_origin(kind) is Literal else _VALUE_NAMES.get(kind, "VALUE")
        if info.default is PydanticUndefined:
            default = "required"
        else:
            default = f"default: {'none' if info.default is None else info.default}"
        yield _ShownSetting(name, value, default, info.description or "")
