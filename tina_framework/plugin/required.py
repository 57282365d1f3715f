"""Record which plugins a saved folder needs, and say which of them are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tina_framework.plugin.discovery import plugin_records, registries
from tina_framework.plugin.entry_points import DISTRIBUTION, is_distribution_name

__all__ = ["PLUGINS", "plugin_hint", "plugins_of"]

PLUGINS = "plugins"
"""Key in `config.json`: the distributions, other than this one, whose names the folder uses. Absent if there are none."""

_MAX_SHOWN = 5
"""Maximum number of plugins that a message names."""


def plugins_of(**names: str | Sequence[str]) -> dict[str, list[str]]:
    """Return what to record about names: ``plugins_of(architectures="resnet20-head")`` -> ``{"plugins": ["tina-resnet"]}``.

    A kind may also have several names. Built-ins and names that the running program registered are left out: there is no package to install for them.
    """
    each = [(kind, name) for kind, given in names.items() for name in ([given] if isinstance(given, str) else given)]
    entries = [dict(registries())[kind].entry(name.partition(":")[0]) for kind, name in each]
    found = sorted({entry.distribution for entry in entries if entry.distribution} - {DISTRIBUTION})
    return {PLUGINS: found} if found else {}


def plugin_hint(values: Mapping[str, Any]) -> str:
    """Return the end of a message about an unknown name: the plugins that the folder was made with and that are missing.

    A stranger may have written the file with these names. So only names of packages and of Python files are repeated, and the
    reader is asked to judge them. A message must not carry a command or terminal escapes from the file.
    """
    recorded = values.get(PLUGINS, [])
    if not isinstance(recorded, list):
        return ""
    here = {record.distribution for record in plugin_records()}
    named = sorted({name for name in recorded if isinstance(name, str) and is_distribution_name(name)} - here)
    files = [name for name in named if name.endswith(".py")]  # given with --plugin: there is no package to install
    packages = [name for name in named if name not in files]
    sentences = [f" It says that it was made with the plugin {name}; install it if you trust it." for name in packages]
    sentences += [f" It says that it was made with the file {name}; give it with --plugin." for name in files]
    if len(sentences) > _MAX_SHOWN:
        sentences[_MAX_SHOWN:] = [f" It names {len(sentences) - _MAX_SHOWN} more."]
    return "".join(sentences)
