"""Environment variables that nothing reads."""

from __future__ import annotations

import os

import pytest

from tina_framework.config.environment import unknown_variables


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TINA_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "name", ["TINA_CACHE", "TINA_DISABLE_PLUGINS", "TINA_LEARNING_RATE", "tina_learning_rate", "TINA_TEST_CIFAR100"]
)
def test_known_variables_are_not_mentioned(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert unknown_variables() == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("TINA_CAHCE", " Did you mean TINA_CACHE?"),
        ("TINA_CACHE_DIR", " Did you mean TINA_CACHE?"),
        ("TINA_STRICT_PLUGIN", " Did you mean TINA_STRICT_PLUGINS?"),
        ("TINA_LEARNING_RAET", " Did you mean TINA_LEARNING_RATE?"),
        ("TINA_XYZ", ""),
    ],
)
def test_a_misspelt_variable_is_mentioned_with_the_right_name(
    name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    assert unknown_variables() == [f"The environment variable {name} has no meaning here and is ignored.{advice}"]
