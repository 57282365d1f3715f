"""What this package adds to tina_framework. Loaded by every command: it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework import Registrar

TINA_API = "2.0"


@hookimpl
def tina_register(registry: Registrar) -> None:
    # A string is imported when the name is used, and not before.
    registry.architectures.add("resnet20-head", "tina_resnet.architectures:resnet20_head")
    registry.architectures.add("resnet20", "tina_resnet.architectures:resnet20")
