"""Register what this package adds. Every `tina` command loads this module, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework import Registrar

TINA_API = "2.2"


@hookimpl
def tina_register(registry: Registrar) -> None:
    # Strings, so that a peer is imported only when its name is used.
    pass
