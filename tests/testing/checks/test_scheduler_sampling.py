"""The checks of how a scheduler samples reject broken plugins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.checks.mutants_scheduler import MUTANTS
from tests.testing.checks.rejection import aimed_at, assert_every_check_rejects_one, assert_rejected
from tina_framework.testing.checks import scheduler_sampling


@pytest.mark.parametrize(("mutant", "check"), aimed_at(scheduler_sampling, MUTANTS))
def test_a_mutant_is_rejected_by_its_check_alone(mutant: Any, check: str) -> None:
    assert_rejected("scheduler", mutant, check)


def test_every_check_rejects_a_mutant() -> None:
    assert_every_check_rejects_one(scheduler_sampling, MUTANTS)
