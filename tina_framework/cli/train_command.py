"""``tina train``: the same as ``python -m tina_framework.training``."""

from __future__ import annotations

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    # Typer does not see the options: `tina_framework.config.training` defines them once, so the words are passed on unread.
    app.command(
        "train",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
        short_help="Train a generator. Takes --config FILE.toml and an option for every setting.",
    )(train)


def train(context: typer.Context) -> None:
    """Train a generator from a zoo and images."""
    from tina_framework.training.__main__ import train as train_from_arguments

    train_from_arguments(context.args, "tina train")
