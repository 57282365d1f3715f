"""Broken plugins: each is rejected by the check that should reject it, and by no other."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from tina_framework.testing import run_checks
from tina_framework.testing.catalogue import CHECKS


def load(kind: str) -> Any:
    """The module beside this one; tests are imported without being a package."""
    path = Path(__file__).with_name(f"mutants_{kind}.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES = {kind: load(kind) for kind in CHECKS}


def label(mutant: Any) -> str:
    """The name of the mutant's class; an architecture's is that of what it builds."""
    built = getattr(mutant, "build", mutant)
    return getattr(built, "__name__", type(built).__name__).strip("<>")


TABLE = [
    pytest.param(kind, mutant, check, id=f"{kind}-{label(mutant)}-{check}")
    for kind, module in MODULES.items()
    for mutant, check in module.MUTANTS
]


@pytest.mark.parametrize(("kind", "mutant", "check"), TABLE)
def test_a_mutant_is_rejected_by_its_check_alone(kind: str, mutant: Any, check: str) -> None:
    failed = {result.name: result.message for result in run_checks(kind, mutant) if result.failed}
    assert list(failed) == [check], failed
    assert len(failed[check]) > 80, "the message says what happened, why it matters and how to fix it"


def test_every_check_rejects_a_mutant() -> None:
    for kind, checks in CHECKS.items():
        aimed = {check for _, check in MODULES[kind].MUTANTS}
        assert {check.__name__ for check in checks} - aimed == set(), kind


@pytest.mark.parametrize("kind", ["encoder", "dataset"])
def test_what_the_mutants_were_made_from_is_sound(kind: str) -> None:
    results = run_checks(kind, MODULES[kind].Sound())
    assert [result for result in results if not result.passed] == []
