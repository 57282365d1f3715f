"""What a zoo of a package promises: it is complete, unaltered, and fits the architecture that it names."""

from __future__ import annotations

from pathlib import Path

from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.testing.findings import guarded
from tina_framework.zoo.store import Zoo

__all__ = ["check_folder"]


def check_folder(zoo: Path) -> None:
    """Every file of the folder has its recorded SHA-256, and the networks fit the architecture that the zoo names."""
    with guarded(
        f"The zoo '{zoo}' cannot be used",
        "Nothing can be compared with its networks.",
        "Build it with tina zoo build, and ship all of its files; see package-data in pyproject.toml.",
    ):
        found = Zoo.open(zoo)
        found.verify()
        found.check(ParameterSpec(registries().architectures.create(found.architecture)))
