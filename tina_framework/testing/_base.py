"""What the base classes share: they call the checks with their capability flags, and guard their own tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tina_framework.errors import DependencyError
from tina_framework.testing.findings import Check, CheckSkipped
from tina_framework.testing.guard import Guarded, check_nothing_is_missing

try:
    import pytest
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise DependencyError(
        f"The base classes of tina_framework.testing need the package '{error.name}', which is not installed; "
        "install tina-framework[test], or call tina_framework.testing.run_checks, which does without."
    ) from error

__all__ = ["ConformanceTests", "conforms", "for_examples", "missing_fixture", "pytest", "st"]


def conforms(tests: object, check: Check, thing: Any, **more: Any) -> None:
    """Runs a check with the capability flags that the class of `tests` sets, and skips where it does not apply."""
    __tracebackhide__ = True
    names = list(inspect.signature(check).parameters)[1:]
    flags = {name: getattr(type(tests), name) for name in names if hasattr(type(tests), name)}
    try:
        check(thing, **flags | more)
    except CheckSkipped as reason:
        pytest.skip(str(reason))


def for_examples(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Runs a function on a few inputs that hypothesis chooses, always the same ones."""

    def decorate(function: Callable[..., None]) -> Callable[[], None]:
        # Machines may be busy, and a plugin's tests should not change from run to run.
        chosen = settings(
            derandomize=True, deadline=None, max_examples=8, database=None, suppress_health_check=list(HealthCheck)
        )
        wrapped: Callable[[], None] = chosen(given(**strategies)(function))
        return wrapped

    return decorate


def missing_fixture(name: str, what: str) -> Exception:
    """What a base class's own fixture raises: the subclass has to give its own."""
    return NotImplementedError(f"Define the fixture `{name}` in your test class (@pytest.fixture); it returns {what}.")


class ConformanceTests(metaclass=Guarded):
    """Base of the base classes.

    Attributes:
        allowed_overrides: standard tests that a subclass replaces, removes or skips, each with the reason;
            ``"*"`` stands for a mark on the whole class.
    """

    allowed_overrides: ClassVar[Mapping[str, str]] = {}

    def test_no_standard_test_is_missing(self) -> None:
        """To fix: restore the standard test, or give the reason in ``allowed_overrides = {"test_name": "reason"}``."""
        check_nothing_is_missing(type(self))
