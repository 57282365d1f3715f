"""What the base classes share: they pass their capability flags to the checks, and guard the standard tests."""

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
        "install tina-framework[test], or call tina_framework.testing.run_checks, which does not need it."
    ) from error

__all__ = ["ConformanceTests", "conforms", "for_examples", "missing_fixture", "pytest", "st"]


def conforms(tests: object, check: Check, thing: Any, **more: Any) -> None:
    """Run a check with the capability flags that the class of `tests` sets; skip the test if the check does not apply."""
    __tracebackhide__ = True
    names = list(inspect.signature(check).parameters)[1:]
    flags = {name: getattr(type(tests), name) for name in names if hasattr(type(tests), name)}
    try:
        check(thing, **flags | more)
    except CheckSkipped as reason:
        pytest.skip(str(reason))


def for_examples(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Run a function on a few inputs that hypothesis chooses, the same ones in every run."""

    def decorate(function: Callable[..., None]) -> Callable[[], None]:
        # No deadline, because machines may be busy; derandomized, because a plugin's tests should not change from run to run.
        chosen = settings(
            derandomize=True, deadline=None, max_examples=8, database=None, suppress_health_check=list(HealthCheck)
        )
        wrapped: Callable[[], None] = chosen(given(**strategies)(function))
        return wrapped

    return decorate


def missing_fixture(name: str, what: str) -> Exception:
    """Return the error of a base class's own fixture, which a subclass has to replace."""
    return NotImplementedError(f"Define the fixture `{name}` in your test class (@pytest.fixture); it returns {what}.")


class ConformanceTests(metaclass=Guarded):
    """Base of the base classes.

    Attributes:
        allowed_overrides: standard test that a subclass replaces, removes or skips -> the reason. The key ``"*"`` is for a
            mark on the whole class.
    """

    allowed_overrides: ClassVar[Mapping[str, str]] = {}

    def test_no_standard_test_is_missing(self) -> None:
        """To fix: restore the standard test, or give the reason in ``allowed_overrides = {"test_name": "reason"}``."""
        check_nothing_is_missing(type(self))
