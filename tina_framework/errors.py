"""All errors that users may meet. The command line prints their message, without a traceback.

A message says what happened (with the value), why it is refused, and what to do.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DependencyError",
    "DownloadError",
    "ExportError",
    "LeakageError",
    "PluginError",
    "PromptError",
    "PromptWarning",
    "Stopped",
    "Terminated",
    "TinaError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "explain",
    "printable",
    "reason_of",
    "shorten",
    "shorten_words",
]


def explain(error: BaseException) -> tuple[str, int]:
    """Return the message for an error that ended the program, and the exit code."""
    if isinstance(error, TinaError):
        return f"Error: {error}", error.exit_code
    if isinstance(error, Stopped):
        return f"Stopped by {signal.Signals(error.args[0]).name}. {error.advice}".rstrip(), error.exit_code
    if isinstance(error, Terminated):
        return "Terminated.", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted.", 130
    if isinstance(error, OSError):
        # A full disk, or a folder without write permission: the system's own message is clear.
        where = f" ('{shorten_words(_users_path(error.filename))}')" if error.filename else ""
        return f"Error: {error.strerror or str(error) or type(error).__name__}{where}.", 1
    reason = " ".join(str(error).split())
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(reason):
        return "Error: There is not enough memory; ask for fewer or smaller things, or choose another device.", 1
    for kind, sentence in _KINDS.items():
        if isinstance(error, kind):
            return f"Error: {sentence} ({reason or 'no details'}). Run again with --debug to see where.", 1
    return f"Unexpected {type(error).__name__}: {reason or 'no reason given'}. Run again with --debug to see where.", 1


_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|Unable to allocate", re.IGNORECASE)

_KINDS: dict[type[Exception], str] = {
    OverflowError: "A number is too large",
    RecursionError: "The input is nested too deeply",
    UnicodeError: "A text holds characters that cannot be read or written",
}
"""Errors of Python that input can cause -> how a message describes them."""


def _users_path(path: object) -> str:
    """Return a path of an error without temporary names: ``.model.1a2b.partial`` is what will be ``model``."""
    if not isinstance(path, str | bytes):
        return str(path)  # the number of an open file
    parts = Path(path if isinstance(path, str) else path.decode("utf-8", "backslashreplace")).parts
    return str(Path(*(_TEMPORARY.sub(r"\1", part) for part in parts)))


_TEMPORARY = re.compile(r"^\.(.+)\.[^.]+\.(?:partial|old)$")


def shorten(value: object, longest: int = 80) -> str:
    """Return the `repr` of a value for a message, on one line, cut to `longest` characters. Control characters are escaped."""
    try:
        text = printable(" ".join(line.strip() for line in repr(value).splitlines()))
    except Exception:  # an object of a plugin may fail at this, and Python writes no integers with thousands of digits
        text = (
            "a number with thousands of digits"
            if isinstance(value, int)
            else f"an object of type {type(value).__name__}"
        )
    return text if len(text) <= longest else text[: longest - 3] + "..."


_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""Characters that a terminal obeys (control characters, text direction) or does not show (zero width, halves of characters)."""


def printable(text: str) -> str:
    """Escape the characters of a text that a terminal would obey or hide, except line breaks and tabs.

    A name from a file could otherwise clear the screen, or show another text than it has. Joiners stay between letters
    outside ASCII, where writing systems and emoji need them.
    """

    def escape(found: re.Match[str]) -> str:
        around = text[max(found.start() - 1, 0) : found.start()] + text[found.end() : found.end() + 1]
        is_joiner = found[0] in "\u200c\u200d" and len(around) == 2
        if is_joiner and not any(char.isascii() or _NOT_SHOWN.match(char) for char in around):
            return found[0]
        return repr(found[0])[1:-1]

    return _NOT_SHOWN.sub(escape, text)


def shorten_words(text: str) -> str:
    """Cut the middle of each word of more than 300 characters: a value or path that would fill the screen."""
    return _LONG_WORD.sub(lambda found: f"{found[0][:150]}...{found[0][-50:]}", text)


_LONG_WORD = re.compile(r"\S{301,}")


class Terminated(KeyboardInterrupt):
    """A signal asked the program to end. Its argument is the number of the signal."""

    @property
    def exit_code(self) -> int:
        """As the shell reports it: 128 and the number of the signal."""
        return 128 + int(self.args[0] if self.args else signal.SIGTERM)


class Stopped(Terminated):
    """A signal asked a long command to end, and it ended in order.

    Args:
        number: of the signal.
        advice: how to go on. It follows the reason in the message.
    """

    def __init__(self, number: int, advice: str = "") -> None:
        super().__init__(number)
        self.advice = advice


def reason_of(error: BaseException, longest: int = 500) -> str:
    """Describe an error that other code raised in one line of a message: ``ValueError: no such file``.

    Control characters are escaped, and long messages cut.
    """
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error class may fail at this as well
        text = "its message cannot be read"
    if not isinstance(error, TinaError | ImportError):
        text = f"{type(error).__name__}: {text or 'no reason given'}"
    plain = printable(text.removesuffix("."))
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."


class TinaError(Exception):
    """Base class of all errors that are raised on purpose. The command line returns `exit_code` (1: it failed)."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message. It may quote a file from a stranger, so control characters are escaped and long text is cut."""
        text = shorten_words(printable(super().__str__()))
        if len(text) <= _MAX_MESSAGE:
            return text
        # The start says what happened, and the end what to do.
        return f"{text[: _MAX_MESSAGE - _END]} ... ({len(text):,} characters in all) ... {text[-_END:]}"


_MAX_MESSAGE = 1900
"""Maximum number of characters of a message. The note that it was cut comes on top."""

_END = 500
"""How many characters of the end a cut message keeps."""


class ConfigError(TinaError):
    """A setting, flag or configuration file is wrong (exit code 2: change the call)."""

    exit_code = 2


class UsageError(ConfigError):
    """The command line is wrong: an unknown command or option, or a missing or malformed value."""


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


class ExportError(TinaError):
    """A classifier cannot be written in a format, or the written file does not answer as the classifier does."""


class TrainingError(TinaError):
    """Training cannot continue: the loss is not finite, or a checkpoint does not fit the configuration."""
