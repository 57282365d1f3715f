"""The folder that ``tina plugins new`` writes: a package with one architecture, its tests and its CI file."""

from __future__ import annotations

import keyword
import os
import re
import shutil
from importlib import resources
from pathlib import Path
from string import Template

from tina_framework.errors import ConfigError
from tina_framework.plugin.api_version import PLUGIN_API
from tina_framework.plugin.entry_points import normal_name

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
"""File of the template -> where it goes. (Package data may be neither hidden nor taken for this package's own modules.)"""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*")


def write_plugin(name: str, parent: Path) -> Path:
    """Writes the folder `parent` / NAME, whole or not at all.

    Args:
        name: of the package to be, e.g. ``my-plugin``.
        parent: where the folder shall stand.

    Raises:
        ConfigError: that is no name for a package, or there is something of that name already.
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
        raise ConfigError(f"'{folder}' exists; it is left as it is. Choose another name, or another folder with --in.")
    values = {
        "distribution": distribution,
        "module": module,
        "name": f"{distribution}-cnn",
        "api": ".".join(map(str, PLUGIN_API)),
    }
    template = resources.files("tina_framework") / "templates" / "plugin"
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        for source, target in FILES.items():
            path = partial / Template(target).substitute(values)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = template.joinpath(*source.split("/")).read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(values), encoding="utf-8")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
