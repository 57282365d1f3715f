"""List the entry points of installed plugins without importing them."""

from __future__ import annotations

import logging
import re
import sys
from typing import NamedTuple

from tina_framework.plugin.hookspecs import GROUP

__all__ = ["DISTRIBUTION", "FoundPlugin", "find_plugins", "normal_name"]

DISTRIBUTION = "tina-framework"
_BUILTINS = ("builtins", "tina_framework.builtins.plugin")

log = logging.getLogger("tina_framework.plugins")


class FoundPlugin(NamedTuple):
    """One entry point; `target` is ``module`` or ``module:attribute``."""

    distribution: str
    name: str
    target: str
    version: str


def find_plugins(path: list[str] | None = None) -> list[FoundPlugin]:
    """Return all entry points of the group, the built-ins first. `path` replaces `sys.path`."""
    found: dict[tuple[str, str], FoundPlugin] = {}
    for folder in dict.fromkeys(sys.path if path is None else path):
        for plugin in _entry_points(folder):
            key = plugin.distribution, plugin.name
            if key not in found or not found[key].version:  # a source tree on the path states no version
                found[key] = plugin
    if (DISTRIBUTION, _BUILTINS[0]) not in found:  # running from a source tree that is not installed
        found[DISTRIBUTION, _BUILTINS[0]] = FoundPlugin(DISTRIBUTION, *_BUILTINS, version="")
    # The built-ins register first. If a plugin takes the same name, the error is then reported for the plugin.
    return sorted(found.values(), key=lambda plugin: (plugin.distribution != DISTRIBUTION, plugin))


def _entry_points(folder: str) -> list[FoundPlugin]:
    """Return the entry points in one folder of the search path. This is the only place that enumerates them.

    The package ``entrypoints`` is in maintenance mode; `importlib.metadata` can replace it here. It is used already where
    ``entrypoints`` fails: a malformed ``entry_points.txt`` makes it give up on the whole folder.
    """
    import entrypoints

    try:
        return [
            FoundPlugin(
                normal_name(e.distro.name),
                e.name,
                e.module_name + (f":{e.object_name}" if e.object_name else ""),
                e.distro.version or "",
            )
            for e in entrypoints.get_group_all(GROUP, path=[folder])
        ]
    except Exception as error:
        import importlib.metadata

        log.warning(
            "An entry_points.txt in '%s' is malformed (%s); reinstall its package.",
            folder,
            " ".join(str(error).split()),
        )
        distributions = importlib.metadata.distributions(path=[folder])
        return [
            FoundPlugin(normal_name(d.name), e.name, e.value, d.version)
            for d in distributions
            for e in d.entry_points
            if e.group == GROUP
        ]


def normal_name(name: str) -> str:
    """Return a distribution name in its normalised form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
