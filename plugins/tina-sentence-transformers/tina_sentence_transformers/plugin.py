"""Register the encoder and the command. Every command loads this module, so it imports no large library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    import typer

    from tina_framework import Registrar

TINA_API = "2.0"


@hookimpl
def tina_register(registry: Registrar) -> None:
    # The string is imported only when the name is used.
    registry.encoders.add("sentence-transformers", "tina_sentence_transformers.encoder:SentenceTransformersEncoder")


@hookimpl
def tina_commands(app: typer.Typer) -> None:
    from tina_sentence_transformers.command import register

    register(app)
