"""Register what this package adds. Every `tina` command loads this module, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    import typer
    from tina_framework import Registrar

TINA_API = "2.0"


@hookimpl
def tina_register(registry: Registrar) -> None:
    # Strings, because they are imported only when the name is used.
    registry.architectures.add("scope-cnn", "tina_oscilloscope.network:scope_cnn")
    registry.datasets.add("oscilloscope", "tina_oscilloscope.dataset:oscilloscope")


@hookimpl
def tina_commands(app: typer.Typer) -> None:
    from tina_oscilloscope.command import draw_wave

    app.command("draw-wave")(draw_wave)
