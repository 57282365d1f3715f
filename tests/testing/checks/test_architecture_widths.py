"""The check of widths rejects broken plugins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.checks.mutants_architecture import MUTANTS
from tests.testing.checks.rejection import aimed_at, assert_every_check_rejects_one, assert_rejected
from tina_framework.testing.checks import architecture_widths


@pytest.mark.parametrize(("mutant", "check"), aimed_at(architecture_widths, MUTANTS))
def test_a_mutant_is_rejected_by_its_check_alone(mutant: Any, check: str) -> None:
    assert_rejected("architecture", mutant, check)


def test_every_check_rejects_a_mutant() -> None:
    assert_every_check_rejects_one(architecture_widths, MUTANTS)
