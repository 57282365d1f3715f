"""The help text of ``--methods``: every registered method, including those of plugins."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from typer.core import TyperCommand

__all__ = ["MethodsCommand"]


class MethodsCommand(TyperCommand):
    """A command whose option ``--methods`` lists the registered methods.

    Its help text is made when the page is shown. Otherwise every help page would load all plugins.
    """

    def default_methods(self) -> str:
        """Return what the command measures without the option, in words."""
        raise NotImplementedError

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page."""
        from tina_framework.evaluation.methods import methods_help

        for parameter in self.params:
            if parameter.name == "methods":
                # Typer renders rich markup, which would swallow "[@STRENGTH]".
                parameter.help = escape(methods_help(self.default_methods()))  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)
