"""``tina train``: the same as ``python -m tina_framework.training``, by another door."""

from __future__ import annotations

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    # The settings are many and have one home, `tina_framework.config.training`: they are passed on as they were typed.
    app.command(
        "train",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
        short_help="Train a generator (--config FILE.toml, and a flag for every setting).",
    )(train)


def train(context: typer.Context) -> None:
    """Train a generator from a zoo and images."""
    from tina_framework.training.__main__ import run

    run(context.args, "tina train")
