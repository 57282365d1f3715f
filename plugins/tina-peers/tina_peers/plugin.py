"""Register what this package adds. Every `tina` command loads this module, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl
from tina_peers.catalogue import PEERS

if TYPE_CHECKING:
    from tina_framework import Registrar

TINA_API = "2.3"


@hookimpl
def tina_register(registry: Registrar) -> None:
    for name, entry in PEERS.items():
        # A string, so that a peer is imported only when its name is used.
        registry.methods.add(name, f"{entry.target}Method", summary=entry.summary, argument="FOLDER")
