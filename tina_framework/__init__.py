"""Text in, classifier out: a diffusion transformer writes the weights of small image classifiers.

Nothing heavy is imported before it is used: ``import tina_framework`` loads neither torch nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tina_framework.classifier import GeneratedClassifier
    from tina_framework.errors import TinaError
    from tina_framework.fine_tuning.settings import FineTuneSettings
    from tina_framework.generator import Generator
    from tina_framework.hookspecs import hookimpl
    from tina_framework.interfaces.architecture import TargetArchitecture
    from tina_framework.registration import (
        list_architectures,
        list_datasets,
        list_encoders,
        list_schedulers,
        list_tokenizers,
        register_architecture,
        register_dataset,
        register_encoder,
        register_scheduler,
        register_tokenizer,
    )

    __version__: str

__all__ = [
    "FineTuneSettings",
    "GeneratedClassifier",
    "Generator",
    "TargetArchitecture",
    "TinaError",
    "__version__",
    "hookimpl",
    "list_architectures",
    "list_datasets",
    "list_encoders",
    "list_schedulers",
    "list_tokenizers",
    "register_architecture",
    "register_dataset",
    "register_encoder",
    "register_scheduler",
    "register_tokenizer",
]

_HOMES = {
    "FineTuneSettings": "tina_framework.fine_tuning.settings",
    "GeneratedClassifier": "tina_framework.classifier",
    "Generator": "tina_framework.generator",
    "TargetArchitecture": "tina_framework.interfaces.architecture",
    "TinaError": "tina_framework.errors",
    "hookimpl": "tina_framework.hookspecs",
}


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("tina-framework")
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        return "0+unknown"


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _version()
    elif name in __all__:
        from importlib import import_module

        value = getattr(import_module(_HOMES.get(name, "tina_framework.registration")), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
