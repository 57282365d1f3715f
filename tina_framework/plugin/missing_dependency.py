"""Say what to install when a module is missing: the extra of the package that needs it, if it has one."""

from __future__ import annotations

import re

from tina_framework.errors import DependencyError, PluginError
from tina_framework.plugin.api_version import import_advice

__all__ = [
    "advice",
    "extra_for",
    "extra_named",
    "failed_import",
    "installed_version",
    "missing_dependency",
    "requirements",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_DEVELOPER_EXTRAS = ("test", "tests", "dev", "docs")
_OURS = "tina-"
"""Packages of this project's repository begin with this. They are not on PyPI yet, so an extra cannot install them."""

_PACKAGE_OF = {
    "pil": "pillow",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
}
"""Well-known modules whose package has another name."""


def extra_for(distribution: str, module: str) -> str | None:
    """Return the extra of an installed distribution that installs `module`, or None."""
    import importlib.metadata  # slow to import, and only needed once something is missing

    top = _normal(module.partition(".")[0])
    wanted = {top, _PACKAGE_OF.get(top, top)}
    try:
        required = importlib.metadata.requires(distribution) or []
    except Exception:  # it is not installed, or its metadata are damaged, which fails in many ways
        return None
    for requirement in required:
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        # Extras for developers install much more than a user needs.
        if (
            name
            and extra
            and _NAME.fullmatch(extra[1])
            and _normal(name[0]) in wanted
            and extra[1] not in _DEVELOPER_EXTRAS
        ):
            return extra[1]
    return None


def extra_named(name: str, distribution: str) -> str | None:
    """Return a sentence that says how to install the extra `name` of an installed distribution.

    Returns:
        The sentence; None if there is no such extra, or if everything that it requires is installed.
    """
    if not _NAME.fullmatch(name):
        return None
    packages = next(
        (found for extra, found in requirements(distribution).items() if extra and _normal(extra) == _normal(name)), []
    )
    missing = [package for package in packages if installed_version(package) is None]
    if not missing:
        return None
    if all(_normal(package).startswith(_OURS) for package in missing):
        folders = " ".join(f"./plugins/{_normal(package)}" for package in missing)
        return f"It comes with {' and '.join(missing)}; in the folder of this project, run: pip install {folders}."
    return f"There is an extra of that name: pip install '{distribution}[{name}]'."


def requirements(distribution: str) -> dict[str | None, list[str]]:
    """Return the packages that an installed distribution requires: by extra, and under None those without an extra.

    The extras of developers are left out. Nothing is required by a distribution that is not installed.
    """
    import importlib.metadata

    try:
        lines = importlib.metadata.requires(distribution) or []
    except Exception:  # it is not installed, or its metadata are damaged, which fails in many ways
        return {}
    found: dict[str | None, list[str]] = {}
    for line in lines:
        name, extra = _NAME.match(line), _EXTRA.search(line)
        if name and not (extra and extra[1] in _DEVELOPER_EXTRAS):
            found.setdefault(extra[1] if extra else None, []).append(name[0])
    return found


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed or its metadata are damaged."""
    import importlib.metadata

    try:
        return importlib.metadata.version(distribution)
    except Exception:  # damaged metadata fail in many ways
        return None


def advice(module: str, distribution: str | None) -> str:
    """Return the end of a message, such as ``install it: pip install 'tina-sounds[audio]'``.

    Args:
        module: the missing module, with or without submodules.
        distribution: the package that needs it; None if unknown.
    """
    extra = None if distribution is None else extra_for(distribution, module)
    if extra is not None:
        return f"install it: pip install '{distribution}[{extra}]'"
    top = module.partition(".")[0]
    if not _NAME.fullmatch(top):  # not the name of a module; it must not end up in a command that is copied to a shell
        return "install it"
    return f"install it: pip install {_PACKAGE_OF.get(top.lower(), top.replace('_', '-'))}"


def failed_import(error: ImportError) -> Exception:
    """Return the error as one sentence: what to install, or what a plugin has to import instead; else the error itself."""
    advised = import_advice(error)
    if advised is not None:  # this package is complete, so a plugin's command asked for an old name
        return PluginError(f"A plugin cannot run: {advised}.")
    return missing_dependency(error) if isinstance(error, ModuleNotFoundError) else error


def missing_dependency(error: ModuleNotFoundError) -> DependencyError:
    """Return the error as one sentence that says what to install."""
    module = error.name or str(error)
    return DependencyError(
        f"This needs the module '{module}', which is not installed; {advice(module, 'tina-framework')}."
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
