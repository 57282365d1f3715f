"""The version of the plugin API, and what a plugin of another version is told."""

from __future__ import annotations

import re

from tina_framework.errors import PluginError, shorten

__all__ = ["MOVED", "PLUGIN_API", "check_api", "import_advice"]

PLUGIN_API = (2, 4)
"""Version of hooks and interfaces, (major, minor). An installed plugin states the one it was written for, as
``TINA_API = "2.4"``. It is loaded if the major version is the same and the minor version is not newer than this one."""

_STATED = re.compile(r"(\d+)\.(\d+)", re.ASCII)
_WANTED = re.compile(r"cannot import name '(\w+)'")
_REFERENCE = "docs/reference/plugin-api.md"

MOVED = {
    "abstention": "classifier.abstention",
    "baselines": "evaluation",
    "classifier": "classifier.classifier",
    "classifier_folder": "classifier.folder",
    "config": "config.training",
    "config_contradictions": "config.checks",
    "config_sources": "config.sources",
    "discovery": "plugin.discovery",
    "ensemble": "targets.ensemble",
    "entry_points": "plugin.entry_points",
    "extras": "plugin.missing_dependency",
    "files": "storage.files",
    "fine_tuning": "classifier.fine_tuning",
    "folders": "storage.folders",
    "generation": "generator",
    "generator": "generator.generator",
    "hookspecs": "plugin.hookspecs",
    "normalizer": "denoiser.normalizer",
    "prompt": "prompts.build",
    "registration": "plugin.registration",
    "registry": "plugin.registry",
    "spec": "interfaces.spec",
    "trunk": "targets.trunk",
    "watching": "plugin.load_report",
}
"""Module of plugin API 1 -> its name in 2.0, both within tina_framework. For messages alone: the old names are gone."""


def check_api(stated: object, *, required: bool = True) -> None:
    """Refuse a plugin that was written for hooks and interfaces which this program does not have.

    Args:
        stated: the plugin's ``TINA_API``, None if it states none.
        required: whether it has to state one. Installed plugins do: those of 1.0 could leave it out.

    Raises:
        PluginError: another major version, a newer minor one, or no version at all; the message says what to change.
    """
    ours = ".".join(map(str, PLUGIN_API))
    if stated is None and not required:
        return
    if stated is None:
        raise PluginError(
            f"it states no plugin API, as plugins of 1.0 did, and this program has {ours}; {_what_to_change(ours)}"
        )
    found = _STATED.fullmatch(stated) if isinstance(stated, str) else None
    if found is None:
        raise PluginError(
            f'its TINA_API is {shorten(stated)}; write the plugin API it was made for, e.g. TINA_API = "{ours}"'
        )
    major, minor = int(found[1]), int(found[2])
    if (major, minor) > PLUGIN_API:
        raise PluginError(
            f"it was written for plugin API {stated}, and this program has {ours}; upgrade tina-framework"
        )
    if major < PLUGIN_API[0]:
        raise PluginError(
            f"it was written for plugin API {stated}, and this program has {ours}; {_what_to_change(ours)}"
        )


def import_advice(error: BaseException) -> str | None:
    """Say what to import instead where a plugin imports a name of tina_framework that does not exist.

    Returns:
        The rest of a sentence about the plugin; None if something else is missing.
    """
    name = getattr(error, "name", None) or ""
    if name == "tina_framework" and (wanted := _WANTED.search(str(error))):
        name = f"{name}.{wanted[1]}"  # `from tina_framework import spec` fails with the name of the package alone
    package, _, rest = name.partition(".")
    if not isinstance(error, ImportError) or package != "tina_framework" or not rest:
        return None
    ours = ".".join(map(str, PLUGIN_API))
    old = rest.partition(".")[0]
    # classifier, config and generator are rooms now: they can be imported, but no longer hold the names.
    if old in MOVED and (rest == old or isinstance(error, ModuleNotFoundError)):
        return (
            f"it imports {package}.{old}, which is {package}.{MOVED[old]} since plugin API 2.0; "
            f'import the new name, and set TINA_API = "{ours}" ({_REFERENCE})'
        )
    reason = re.sub(r" \(.*\)$", "", str(error))  # the path of a file, which tells nothing here
    return f"{reason}; {_REFERENCE} lists what plugins for plugin API {ours} may import"


def _what_to_change(ours: str) -> str:
    return (
        "upgrade the plugin, or change it: modules moved (tina_framework.files is tina_framework.storage.files, ...; "
        f'see {_REFERENCE}), and TINA_API = "{ours}" has to be set once it imports the new names'
    )
