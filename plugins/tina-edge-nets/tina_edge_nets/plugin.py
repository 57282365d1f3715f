"""The names that this package adds to tina_framework. Every command loads this module, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework import Registrar

TINA_API = "2.0"


@hookimpl
def tina_register(registry: Registrar) -> None:
    # Strings, so that a network is imported only when its name is used.
    registry.architectures.add("cnn-separable", "tina_edge_nets.separable:cnn_separable")
    registry.architectures.add("edge-mlp", "tina_edge_nets.mlp:edge_mlp")
