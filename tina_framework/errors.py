"""All errors that users may meet. The command line prints their message, without a traceback.

A message says what happened (with the value), why it is refused, and what to do.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DependencyError",
    "DownloadError",
    "LeakageError",
    "PluginError",
    "PromptError",
    "PromptWarning",
    "TinaError",
    "TrainingError",
    "UnknownNameError",
    "explain",
    "shorten",
]


def explain(error: BaseException) -> tuple[str, int]:
    """Return the message for an error that ended the program, and the exit code."""
    if isinstance(error, TinaError):
        return f"Error: {error}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted.", 130
    if isinstance(error, OSError):
        # A full disk, or a folder without write permission: the system's own message is clear.
        where = f" ('{error.filename}')" if error.filename else ""
        return f"Error: {error.strerror or str(error) or type(error).__name__}{where}.", 1
    reason = " ".join(str(error).split())
    return f"Unexpected {type(error).__name__}: {reason or 'no reason given'}. Run again with --debug to see where.", 1


def shorten(value: object, longest: int = 80) -> str:
    """Return the `repr` of a value for a message, cut to `longest` characters."""
    text = repr(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


class TinaError(Exception):
    """Base class of all errors that are raised on purpose. The command line returns `exit_code` (1: it failed)."""

    exit_code = 1


class ConfigError(TinaError):
    """A setting, flag or configuration file is wrong (exit code 2: change the call)."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """Nothing is registered under a name."""


class PluginError(TinaError):
    """A plugin could not be loaded, or two of them claim the same name."""


class DependencyError(TinaError):
    """An optional package is needed but not installed; the message says how to install it."""


class PromptError(ConfigError):
    """The prompts cannot be turned into a task: too few or too many classes, or empty or duplicate names."""


class PromptWarning(UserWarning):
    """An encoder may misread a class name. The classifier is generated nevertheless."""


class DataError(TinaError):
    """A data set, picture or task file is missing, unreadable, or has the wrong contents."""


class LeakageError(DataError):
    """A task file declares a task as unseen that training may have seen."""


class CheckpointError(TinaError):
    """A checkpoint, classifier folder or zoo is incomplete, altered, or was made by another program."""


class DownloadError(TinaError):
    """A download from the Hub failed."""


class TrainingError(TinaError):
    """Training cannot continue: the loss is not finite, or a checkpoint does not fit the configuration."""
