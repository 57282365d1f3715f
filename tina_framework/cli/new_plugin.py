"""Write the plugin template of ``tina plugins new``: a package with one architecture, its tests and a CI file."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

from tina_framework.errors import ConfigError
from tina_framework.plugin.api_version import PLUGIN_API
from tina_framework.plugin.entry_points import normal_name
from tina_framework.storage.folders import writing_folder

__all__ = ["FILES", "write_plugin"]

FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "gitignore.txt": ".gitignore",
    "module/__init__.py.txt": "${module}/__init__.py",
    "module/plugin.py.txt": "${module}/plugin.py",
    "module/network.py.txt": "${module}/network.py",
    "tests/test_network.py.txt": "tests/test_network.py",
    "workflows/test.yml.txt": ".github/workflows/test.yml",
}
"""Template file -> file to write. The template files end in ``.txt`` because build tools skip hidden package data, and would
treat ``.py`` files as modules of this package."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*")


def write_plugin(name: str, parent: Path) -> Path:
    """Write the folder `parent` / NAME, completely or not at all.

    Args:
        name: name of the new package, e.g. ``my-plugin``.
        parent: the folder that it is written into.

    Raises:
        ConfigError: the name is not valid for a package, or exists already.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot name a package: use letters, digits and single hyphens, beginning with a letter, e.g. my-plugin."
        )
    distribution = normal_name(name)
    module = distribution.replace("-", "_")
    if keyword.iskeyword(module) or distribution == "tina-framework":
        raise ConfigError(
            f"'{name}' is taken by Python or by this project; choose another name, e.g. my-{distribution}."
        )
    folder = parent / distribution
    if folder.exists():
        raise ConfigError(f"'{folder}' exists already. Choose another name, or another folder with --in.")
    values = {
        "distribution": distribution,
        "module": module,
        "name": f"{distribution}-cnn",
        "api": ".".join(map(str, PLUGIN_API)),
    }
    template = resources.files("tina_framework") / "templates" / "plugin"
    with writing_folder(folder, lambda path: False, "plugin") as new:
        for source, target in FILES.items():
            path = new / Template(target).substitute(values)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = template.joinpath(*source.split("/")).read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    return folder
