"""How the tests of the checks use broken plugins: each is rejected by the check that should reject it, and by no other."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from tina_framework.testing import run_checks

__all__ = ["aimed_at", "assert_every_check_rejects_one", "assert_rejected"]

Mutants = Sequence[tuple[Any, str]]


def aimed_at(module: ModuleType, mutants: Mutants) -> list[Any]:
    """Return the parameters (mutant, check) of a test: those mutants that a check of this module should reject."""
    return [pytest.param(mutant, check, id=f"{_label(mutant)}-{check}") for mutant, check in mutants if hasattr(module, check)
            and getattr(module, check).__module__ == module.__name__]  # fmt: skip


def assert_rejected(kind: str, mutant: Any, check: str) -> None:
    """Assert that one check fails, and that its message is long enough to say what, why and how to fix it."""
    failed = {result.name: result.message for result in run_checks(kind, mutant) if result.failed}
    assert list(failed) == [check], failed
    assert len(failed[check]) > 80, "the message says what happened, why it matters and how to fix it"


def assert_every_check_rejects_one(module: ModuleType, mutants: Mutants) -> None:
    """Assert that no check of a module is without a mutant."""
    checks = {name for name in module.__all__ if name.startswith("check_")}
    assert checks - {check for _, check in mutants} == set()


def _label(mutant: Any) -> str:
    """The name of the mutant's class; of an architecture, that of what it builds."""
    built = getattr(mutant, "build", mutant)
    return str(getattr(built, "__name__", type(built).__name__)).strip("<>")
