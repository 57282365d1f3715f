"""The checks of data sets reject broken plugins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.checks.mutants_dataset import MUTANTS, Scaling, Sound
from tests.testing.checks.rejection import aimed_at, assert_every_check_rejects_one, assert_rejected
from tina_framework.testing import run_checks
from tina_framework.testing.checks import dataset


@pytest.mark.parametrize(("mutant", "check"), aimed_at(dataset, MUTANTS))
def test_a_mutant_is_rejected_by_its_check_alone(mutant: Any, check: str) -> None:
    assert_rejected("dataset", mutant, check)


def test_every_check_rejects_a_mutant() -> None:
    assert_every_check_rejects_one(dataset, MUTANTS)


def test_what_the_mutants_were_made_from_is_sound() -> None:
    for sound in (Sound(), Scaling()):
        assert [result for result in run_checks("dataset", sound) if not result.passed] == []
