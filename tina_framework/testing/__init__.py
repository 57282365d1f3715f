"""The conformance kit: tests that every plugin of a kind should pass.

With pytest, subclass the base class of the kind and give it one fixture; see docs/reference/testing.md. Without pytest, call
`run_checks`. Neither torch nor pytest is imported before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tina_framework.testing.architecture import ArchitectureTests
    from tina_framework.testing.dataset import DatasetTests
    from tina_framework.testing.encoder import EncoderTests
    from tina_framework.testing.exporter import ExporterTests
    from tina_framework.testing.findings import CheckSkipped, ConformanceError
    from tina_framework.testing.generator import GeneratorTests
    from tina_framework.testing.method import MethodTests
    from tina_framework.testing.pictures import noise_dataset
    from tina_framework.testing.runner import CheckResult, run_checks
    from tina_framework.testing.scheduler import SchedulerTests
    from tina_framework.testing.tokenizer import TokenizerTests
    from tina_framework.testing.zoo import ZooTests

__all__ = [
    "ArchitectureTests",
    "CheckResult",
    "CheckSkipped",
    "ConformanceError",
    "DatasetTests",
    "EncoderTests",
    "ExporterTests",
    "GeneratorTests",
    "MethodTests",
    "SchedulerTests",
    "TokenizerTests",
    "ZooTests",
    "noise_dataset",
    "run_checks",
]

_HOMES = {
    "ArchitectureTests": "architecture",
    "CheckResult": "runner",
    "CheckSkipped": "findings",
    "ConformanceError": "findings",
    "DatasetTests": "dataset",
    "EncoderTests": "encoder",
    "ExporterTests": "exporter",
    "GeneratorTests": "generator",
    "MethodTests": "method",
    "SchedulerTests": "scheduler",
    "TokenizerTests": "tokenizer",
    "ZooTests": "zoo",
    "noise_dataset": "pictures",
    "run_checks": "runner",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
