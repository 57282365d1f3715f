"""Limits on what users ask for. They are checked before anything is encoded or compared, so that refusing takes no time."""

from __future__ import annotations

from tina_framework.errors import PromptError

__all__ = ["MAX_CLASSES", "MAX_TASKS", "MAX_TEXTS", "check_class_count", "check_task_count"]

MAX_CLASSES = 1000
"""Maximum number of classes of a task, also if several networks are composed."""

MAX_TASKS = 10_000
"""Maximum number of tasks of one call or task file."""

MAX_TEXTS = 100
"""Maximum number of names and descriptions of one class. Their vectors are averaged."""

COMPOSE = "leave some out, or compose several networks (compose=True, tina generate --compose)"


def check_class_count(count: int, most: int | None = None, least: int = 0) -> None:
    """Check the number of classes of a task.

    Args:
        count: the number of classes.
        most: the most that a generator makes; None: it composes networks, so that only `MAX_CLASSES` counts.
        least: the fewest.

    Raises:
        PromptError: there are too few or too many.
    """
    if most is not None and not least <= count <= most:
        advice = COMPOSE if count > most else "add some"
        of = f"{least} to {most}" if least else f"at most {most}"
        raise PromptError(f"{count} classes were named, but this generator makes classifiers for {of}; {advice}.")
    if count > MAX_CLASSES:
        raise PromptError(f"{count} classes were named, but at most {MAX_CLASSES:,} are allowed; leave some out.")


def check_task_count(count: int) -> None:
    """Check the number of tasks of one call.

    Raises:
        PromptError: there are too many.
    """
    if count > MAX_TASKS:
        raise PromptError(f"{count:,} tasks were given, but at most {MAX_TASKS:,} are allowed; split them.")
