"""The guard of the base classes: it notices a standard test that was removed, replaced or marked to be skipped.

The metaclass records the test methods of a base class. The standard test `test_no_standard_test_is_missing` compares those
of a subclass with them. A subclass cannot remove that test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from tina_framework.testing.findings import ConformanceError, require

__all__ = ["GUARD", "Guarded", "check_nothing_is_missing", "standard_tests"]

GUARD = "test_no_standard_test_is_missing"
_AWAY = frozenset({"skip", "skipif", "xfail"})


def _marks(thing: Any) -> list[Any]:
    marks = vars(thing).get("pytestmark", []) if hasattr(thing, "__dict__") else []
    return list(marks) if isinstance(marks, Iterable) else [marks]


def _split(marks: Any) -> tuple[list[Any], set[str]]:
    """Return the marks that may stay on a class, and the names of those that would skip its tests."""
    listed = list(marks) if isinstance(marks, Iterable) else [marks]
    away = {mark.name for mark in listed if getattr(mark, "name", "") in _AWAY}
    return [mark for mark in listed if getattr(mark, "name", "") not in away], away


class Guarded(type):
    """Metaclass that keeps the guard in every subclass, and removes marks that skip a whole class.

    Such a mark would skip the guard as well. A class made with ``standard=True`` is a base class of the kit: its test methods
    are the standard tests.
    """

    _guard: Callable[..., None] | None = None
    _marked_away: ClassVar[frozenset[str]] = frozenset()

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, standard: bool = False
    ) -> Guarded:
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, standard: bool = False) -> None:
        super().__init__(name, bases, namespace)
        if cls._guard is None and GUARD in namespace:
            type.__setattr__(cls, "_guard", staticmethod(namespace[GUARD]))
        if standard:
            tests = {name: getattr(cls, name) for name in dir(cls) if name.startswith("test_")}
            type.__setattr__(
                cls, "_standard", tests | dict(standard_tests(cls))
            )  # inherited ones keep the version of their base class
        if getattr(cls, GUARD, None) is not cls._guard:
            type.__setattr__(cls, GUARD, cls._guard)
            type.__setattr__(cls, "_guard_removed", True)
        if "pytestmark" in namespace:
            cls.pytestmark = namespace["pytestmark"]

    def __setattr__(cls, name: str, value: Any) -> None:
        if name == GUARD:
            name, value = "_guard_removed", True
        elif name == "pytestmark":
            kept, away = _split(value)
            type.__setattr__(cls, "_marked_away", cls._marked_away | away)
            excused = str(dict(getattr(cls, "allowed_overrides", {})).get("*", "")).strip()
            value = value if excused else kept
        super().__setattr__(name, value)


def standard_tests(base: type) -> Mapping[str, Callable[..., None]]:
    """Return the test methods of a base class of the kit, by name."""
    found: dict[str, Callable[..., None]] = getattr(base, "_standard", {})
    return found


def check_nothing_is_missing(cls: type) -> None:
    """Check that a class has every standard test unchanged, or gives a reason in `allowed_overrides`.

    Raises:
        ConformanceError: a test is missing, replaced, or marked skip or xfail without a reason, or a reason is not needed.
    """
    allowed = dict(getattr(cls, "allowed_overrides", {}))
    problems = {}
    for name, original in standard_tests(cls).items():
        now = getattr(cls, name, None)
        if name == GUARD:
            if getattr(cls, "_guard_removed", False):
                problems[name] = "is removed"
        elif now is None:
            problems[name] = "is missing (deleted, renamed or set to None)"
        elif now is not original:
            problems[name] = "is overridden"
        elif away := sorted({mark.name for mark in _marks(now)} & _AWAY):
            problems[name] = f"is marked {' and '.join(away)}"
    marked: frozenset[str] = getattr(cls, "_marked_away", frozenset())
    if marked:
        problems["*"] = f"are marked {' and '.join(sorted(marked))}, all of them"
    unexcused = {name: what for name, what in problems.items() if not str(allowed.get(name, "")).strip()}
    if unexcused:
        listed = "; ".join(f"{'the tests' if name == '*' else name} {what}" for name, what in unexcused.items())
        raise ConformanceError(
            f"{cls.__name__}: {listed}. A plugin passes the kit only if it passes all of it. Restore the test, "
            f'or say why it cannot hold: allowed_overrides = {{"{next(iter(unexcused))}": "the reason"}}.'
        )
    idle = sorted(allowed.keys() - problems.keys())
    require(
        not idle,
        f"{cls.__name__}: allowed_overrides gives a reason for {', '.join(idle)}, which is unchanged.",
        "A reason that is not needed would hide the next change.",
        "Remove it, or correct the name of the test.",
    )
