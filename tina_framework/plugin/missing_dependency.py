"""Say what to install when a module is missing: the extra of the package that needs it, if it has one."""

from __future__ import annotations

import re

from tina_framework.errors import DependencyError, PluginError
from tina_framework.plugin.api_version import import_advice

__all__ = ["advice", "extra_for", "extra_named", "failed_import", "missing_dependency"]

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
        requirements = importlib.metadata.requires(distribution) or []
    except Exception:  # it is not installed, or its metadata are damaged, which fails in many ways
        return None
    for requirement in requirements:
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
    import importlib.metadata

    if not _NAME.fullmatch(name) or name in _DEVELOPER_EXTRAS:
        return None
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except Exception:  # it is not installed, or its metadata are damaged, which fails in many ways
        return None
    of_extra = [text for text in requirements if (extra := _EXTRA.search(text)) and _normal(extra[1]) == _normal(name)]
    packages = [found[0] for text in of_extra if (found := _NAME.match(text))]
    missing = [package for package in packages if not _is_installed(package)]
    if not missing:
        return None
    if all(_normal(package).startswith(_OURS) for package in missing):
        folders = " ".join(f"./plugins/{_normal(package)}" for package in missing)
        return f"It comes with {' and '.join(missing)}; in the folder of this project, run: pip install {folders}."
    return f"There is an extra of that name: pip install '{distribution}[{name}]'."


def _is_installed(distribution: str) -> bool:
    import importlib.metadata

    try:
        importlib.metadata.distribution(distribution)
    except Exception:  # as above
        return False
    return True


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
