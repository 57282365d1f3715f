"""How a check reports: it raises what it found, or why it did not run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

__all__ = ["Check", "CheckSkipped", "ConformanceError", "accepted", "earlier_checks", "guarded", "needs", "require"]

Check = Callable[..., None]
"""A check takes the thing and, by keyword, capability flags; it returns nothing or raises."""

C = TypeVar("C", bound=Check)


class ConformanceError(AssertionError):
    """A plugin breaks its contract. The message says what happened, why it matters and how to fix it."""


class CheckSkipped(Exception):
    """A check does not apply, or a more basic check that it needs fails; the message says which."""


def require(holds: bool, happened: str, why: str, fix: str) -> None:
    """Raise ConformanceError unless `holds`.

    Args:
        holds: the condition.
        happened: what was seen, with the value.
        why: why that matters.
        fix: what the author of the plugin should do.
    """
    if not holds:
        raise ConformanceError(f"{happened} {why} {fix}")


@contextmanager
def guarded(happened: str, why: str, fix: str) -> Iterator[None]:
    """Turn any error that the plugin raises inside the block into a ConformanceError that says where it was raised."""
    try:
        yield
    except (ConformanceError, CheckSkipped):
        raise
    except Exception as error:  # the plugin's own code may raise anything
        reason = " ".join(str(error).split()) or "no reason given"
        raise ConformanceError(f"{happened}: {type(error).__name__}: {reason} - {why} {fix}") from error


def accepted(check: Check, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are keywords of the check."""
    return {name: value for name, value in options.items() if name in inspect.signature(check).parameters}


def earlier_checks(check: Check) -> tuple[Check, ...]:
    """Return the checks that a check needs, as given to `needs`."""
    found: tuple[Check, ...] = getattr(check, "earlier", ())
    return found


def needs(*earlier: Check) -> Callable[[C], C]:
    """Make a check depend on more basic ones. If one of these fails, the check is skipped, so that one fault is one finding."""

    def decorate(check: C) -> C:
        @functools.wraps(check)
        def run(thing: Any, **options: Any) -> None:
            for basic in earlier:
                try:
                    basic(thing, **accepted(basic, options))
                except ConformanceError as error:
                    raise CheckSkipped(f"Not checked, because {basic.__name__} fails.") from error
            check(thing, **options)

        run.earlier = earlier  # type: ignore[attr-defined]
        return cast(C, run)

    return decorate
