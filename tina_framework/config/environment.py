"""Find environment variables that nothing reads, because their names are misspelt."""

from __future__ import annotations

import os

from tina_framework.plugin.entry_points import find_plugins
from tina_framework.plugin.suggest import closest

__all__ = ["VARIABLES", "unknown_variables"]

VARIABLES = frozenset(
    {
        "TINA_ALLOW_PLUGINS",
        "TINA_CACHE",
        "TINA_DISABLE_PLUGINS",
        "TINA_FORCE_BATCHED",
        "TINA_ORT_WEB",
        "TINA_PLUGIN_TIMEOUT",
        "TINA_STRICT_PLUGINS",
    }
)
"""Environment variables of this package, apart from the settings of training. ``TINA_TEST_...`` belongs to its tests."""

_PREFIX = "TINA_"


def unknown_variables() -> list[str]:
    """Return a sentence for each variable with the prefix ``TINA_`` that has no meaning.

    A plugin may read variables that begin with its own name, such as ``TINA_VIT_HEAD_CLIP``.
    """
    given = sorted(name for name in os.environ if name.upper().startswith(_PREFIX) and name not in VARIABLES)
    if not given:
        return []
    from tina_framework.config.training import TrainingConfig  # imports pydantic, which takes a while

    settings = {_PREFIX + name.upper() for name in TrainingConfig.model_fields}
    own = {f"{_PREFIX}TEST_"}
    own |= {plugin.distribution.upper().replace("-", "_") + "_" for plugin in find_plugins()}
    sentences = []
    for name in given:
        # Names of settings may be written in lower case.
        if name.upper() in settings or name.startswith(tuple(own - {"TINA_FRAMEWORK_"})):
            continue
        # Compared without the prefix, which would make all names similar.
        known = {other.removeprefix(_PREFIX) for other in VARIABLES | settings}
        found = closest(name.upper().removeprefix(_PREFIX), known, cutoff=0.65)
        advice = f" Did you mean {_PREFIX}{found[0]}?" if found else ""
        sentences.append(f"The environment variable {name} has no meaning here and is ignored.{advice}")
    return sentences
