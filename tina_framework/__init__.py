"""Text in, classifier out: a diffusion transformer writes the weights of small image classifiers.

Nothing heavy is imported before it is used: ``import tina_framework`` loads neither torch nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.classifier.fine_tuning.settings import FineTuneSettings, HeadSettings
    from tina_framework.errors import TinaError
    from tina_framework.generator.generator import Generator
    from tina_framework.interfaces.architecture import TargetArchitecture
    from tina_framework.plugin.discovery import registries
    from tina_framework.plugin.hookspecs import Registrar, hookimpl
    from tina_framework.plugin.registration import (
        list_architectures,
        list_datasets,
        list_encoders,
        list_exporters,
        list_generators,
        list_methods,
        list_schedulers,
        list_tokenizers,
        list_zoos,
        register_architecture,
        register_dataset,
        register_encoder,
        register_exporter,
        register_method,
        register_scheduler,
        register_tokenizer,
    )
    from tina_framework.prompts import build as prompt

    __version__: str

__all__ = [
    "FineTuneSettings",
    "GeneratedClassifier",
    "Generator",
    "HeadSettings",
    "Registrar",
    "TargetArchitecture",
    "TinaError",
    "__version__",
    "hookimpl",
    "list_architectures",
    "list_datasets",
    "list_encoders",
    "list_exporters",
    "list_generators",
    "list_methods",
    "list_schedulers",
    "list_tokenizers",
    "list_zoos",
    "prompt",
    "register_architecture",
    "register_dataset",
    "register_encoder",
    "register_exporter",
    "register_method",
    "register_scheduler",
    "register_tokenizer",
    "registries",
]

_HOMES = {
    "FineTuneSettings": "tina_framework.classifier.fine_tuning.settings",
    "GeneratedClassifier": "tina_framework.classifier.classifier",
    "Generator": "tina_framework.generator.generator",
    "HeadSettings": "tina_framework.classifier.fine_tuning.settings",
    "Registrar": "tina_framework.plugin.hookspecs",
    "TargetArchitecture": "tina_framework.interfaces.architecture",
    "TinaError": "tina_framework.errors",
    "hookimpl": "tina_framework.plugin.hookspecs",
    "registries": "tina_framework.plugin.discovery",
    "prompt": "tina_framework.prompts.build",  # the module itself: prompt.text, prompt.images, prompt.vector
}


def _version() -> str:
    from importlib import metadata

    try:
        return str(metadata.version("tina-framework") or "0+unknown")
    except Exception:  # a source tree that is not installed; or damaged metadata, which fail in many ways
        return "0+unknown"


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _version()
    elif name in __all__:
        from importlib import import_module

        home = import_module(_HOMES.get(name, "tina_framework.plugin.registration"))
        value = home if name == "prompt" else getattr(home, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
