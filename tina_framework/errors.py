"""Every error that a user can cause or meet, so that the command line can print one clear sentence.

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
    """One sentence for whatever ended the program, and the exit code: the only place that decides both."""
    if isinstance(error, TinaError):
        return f"Error: {error}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted.", 130
    if isinstance(error, OSError):
        # A full disk, a folder that may not be written to: the system's sentence says it all.
        where = f" ('{error.filename}')" if error.filename else ""
        return f"Error: {error.strerror or str(error) or type(error).__name__}{where}.", 1
    reason = " ".join(str(error).split())
    return f"Unexpected {type(error).__name__}: {reason or 'no reason given'}. Run again with --debug to see where.", 1


def shorten(value: object, longest: int = 80) -> str:
    """The `repr` of a value for a message, cut to `longest` characters."""
    text = repr(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


class TinaError(Exception):
    """Base of all errors raised on purpose. `exit_code` is what the command line returns (1: it failed)."""

    exit_code = 1


class ConfigError(TinaError):
    """A setting, flag or configuration file is wrong (exit code 2: the call has to be changed)."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """A registry has nothing under that name."""


class PluginError(TinaError):
    """A plugin could not be loaded, or two of them claim the same name."""


class DependencyError(TinaError):
    """An optional package is needed and missing; the message says which extra installs it."""


class PromptError(ConfigError):
    """The classes asked for cannot be turned into a task: too few, too many, empty or duplicated names."""


class PromptWarning(UserWarning):
    """An encoder is unsure what a class name means; the model is made all the same."""


class DataError(TinaError):
    """A data set, picture or task file is missing, unreadable or has the wrong contents."""


class LeakageError(DataError):
    """A task file calls a task unseen that training could have seen."""


class CheckpointError(TinaError):
    """A checkpoint, classifier folder or zoo is incomplete, altered or made by something else."""


class DownloadError(TinaError):
    """Something that lives on the Hub could not be fetched."""


class TrainingError(TinaError):
    """Training cannot go on (a non-finite loss, a checkpoint that does not fit the configuration)."""
