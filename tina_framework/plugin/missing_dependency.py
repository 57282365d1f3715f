"""What to install when a module is missing: the extra of the package that asked for it, if it has one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tina_framework.errors import DependencyError

__all__ = ["advice", "extra_for", "missing_dependency"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_IMPORTED_AS = {
    "pil": "pillow",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
}
"""Modules whose package is called otherwise, the usual ones."""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def extra_for(distribution: str, module: str) -> str | None:
    """The extra of an installed distribution that brings `module` along; None if none does, or it is not installed."""
    import importlib.metadata  # not worth its time before something is missing

    top = _normal(module.partition(".")[0])
    wanted = {top, _IMPORTED_AS.get(top, top)}
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for requirement in requirements:
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        # Extras for developers bring everything; the user is better off with the one that is meant.
        if name and extra and _normal(name[0]) in wanted and extra[1] not in ("test", "tests", "dev", "docs"):
            return extra[1]
    return None


def advice(module: str, distribution: str | None) -> str:
    """The end of a sentence: ``install it: pip install 'tina-sounds[audio]'``."""
    extra = None if distribution is None else extra_for(distribution, module)
    if extra is not None:
        return f"install it: pip install '{distribution}[{extra}]'"
    top = module.partition(".")[0]
    return f"install it: pip install {_IMPORTED_AS.get(top.lower(), top.replace('_', '-'))}"


def missing_dependency(error: ModuleNotFoundError) -> DependencyError:
    """The same as one sentence, which names the package whose code asked for the module: one that has an extra for it, else a plugin."""
    module = error.name or str(error)
    owners = list(_owners(error))
    with_extra = (d for d in owners if extra_for(d, module) is not None)
    owner = next(with_extra, next(filter(_is_plugin, owners), None))
    who = f"'{owner}' needs" if owner is not None else "This needs"
    return DependencyError(f"{who} the module '{module}', which is not installed; {advice(module, owner)}.")


def _is_plugin(distribution: str) -> bool:
    import importlib.metadata

    return any(point.group == "tina_framework" for point in importlib.metadata.distribution(distribution).entry_points)


def _owners(error: BaseException) -> Iterator[str]:
    """Distributions whose code was running, innermost first."""
    import importlib.metadata

    packages, frames = importlib.metadata.packages_distributions(), []
    trace = error.__traceback__
    while trace is not None:
        frames.append(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    for package in reversed(frames):
        yield from filter(None, packages.get(package, []))  # broken metadata states no name
