"""How a check reports: what it found, or why it did not look."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.testing.checks.architecture import check_fields
from tina_framework.testing.checks.architecture_running import check_vmap
from tina_framework.testing.findings import CheckSkipped, ConformanceError, accepted, guarded, needs, require


def test_a_check_can_be_called_alone() -> None:
    with pytest.raises(ConformanceError, match=r"input_shape is \(2, 4, 4\).* Give three positive integers"):
        check_fields(TargetArchitecture("two", nn.Linear, (2, 4, 4)))
    with pytest.raises(CheckSkipped, match="Not checked, because check_fields fails"):
        check_vmap(TargetArchitecture("two", nn.Linear, (2, 4, 4)))
    assert issubclass(ConformanceError, AssertionError)


def test_a_requirement_says_what_why_and_how_to_fix_it() -> None:
    require(True, "It is 3.", "It should be 2.", "Subtract 1.")
    with pytest.raises(ConformanceError, match=r"^It is 3\. It should be 2\. Subtract 1\.$"):
        require(False, "It is 3.", "It should be 2.", "Subtract 1.")


def test_what_the_plugin_raises_becomes_a_finding_once() -> None:
    with (
        pytest.raises(ConformanceError, match=r"^It failed: ValueError: a b - Why\. Fix\.$"),
        guarded("It failed", "Why.", "Fix."),
    ):
        raise ValueError("a\n b")
    with pytest.raises(ConformanceError, match="no reason given"), guarded("It failed", "Why.", "Fix."):
        raise ValueError
    for error in (ConformanceError("inner"), CheckSkipped("inner")):
        with pytest.raises(type(error), match=r"^inner$"), guarded("outer", "", ""):
            raise error


def test_a_check_runs_after_those_it_needs_with_the_options_they_take() -> None:
    seen: list[Any] = []

    def basic(thing: Any, *, size: int = 1) -> None:
        seen.append(("basic", thing, size))

    @needs(basic)
    def later(thing: Any, *, seed: int = 0, size: int = 1) -> None:
        seen.append(("later", thing, seed, size))

    later("x", seed=3, size=2)
    assert seen == [("basic", "x", 2), ("later", "x", 3, 2)]
    assert accepted(basic, {"size": 2, "seed": 3}) == {"size": 2}
