"""Choosing an architecture by size."""

from __future__ import annotations

from typing import Any

import pytest

from tina_framework.classifier.exporting.flash import flash_bytes
from tina_framework.errors import ConfigError
from tina_framework.generator import architecture_budget
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.plugin.discovery import registries

NAMES = ["ant", "bee", "cat"]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (1_419, "cnn-2layer@0.5"),
        # As large, but without a record.
        (2_991, "cnn-2layer@0.5"),
        (5_139, "cnn-2layer"),
        # The largest one fits, but is less accurate.
        (100_000, "cnn-2layer"),
    ],
)
def test_the_most_accurate_that_fits(several_generator: Generator, budget: int, expected: str) -> None:
    assert several_generator.choose_architecture(NAMES, max_parameters=budget) == expected
    assert several_generator.choose_architecture(3, max_parameters=budget) == expected


def test_a_budget_of_flash_is_kept_to_the_byte(several_generator: Generator) -> None:
    exact = flash_bytes(registries().architectures.create("cnn-2layer"), NAMES)
    assert several_generator.choose_architecture(NAMES, max_flash=exact) == "cnn-2layer"
    assert several_generator.choose_architecture(NAMES, max_flash=exact - 1) == "cnn-2layer@0.5"
    # Nine letters fewer, because names are not given.
    assert several_generator.choose_architecture(3, max_flash=exact - 9) == "cnn-2layer"


def test_without_a_record_the_largest_is_chosen(tiny_generator: Generator) -> None:
    assert tiny_generator.choose_architecture(3, max_parameters=6_000) == "cnn-2layer"


def test_what_does_not_fit(several_generator: Generator) -> None:
    sizes = "cnn-2layer@0.5 1,419, cnn-2layer@0.75 2,991, cnn-2layer 5,139, cnn-3layer 14,355"
    message = f"at most 100 parameters for 3 classes; the smallest is 'cnn-2layer@0.5' with 1,419. All: {sizes}."
    with pytest.raises(ConfigError, match=message):
        several_generator.choose_architecture(3, max_parameters=100)
    with pytest.raises(ConfigError, match=r"at most 1,000 bytes of constants in flash for 3 classes; the smallest is"):
        several_generator.choose_architecture(3, max_flash="1kB")


def test_what_the_format_cannot_hold_is_left_out(several_generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(architecture: TargetArchitecture, names: Any) -> int:
        if architecture.name not in fitting:
            raise ConfigError(f"{architecture.name} is odd.")
        return 5

    monkeypatch.setattr(architecture_budget, "flash_bytes", refusing)
    fitting = {"cnn-2layer@0.5", "cnn-3layer"}
    assert several_generator.choose_architecture(3, max_flash=5) == "cnn-3layer"
    fitting.clear()
    with pytest.raises(
        ConfigError, match=r"^No architecture of this generator can be written as C source. cnn-2layer@0.5: "
    ):
        several_generator.choose_architecture(3, max_flash=5)


@pytest.mark.parametrize(
    ("classes", "options", "message"),
    [
        (3, {}, "either max_parameters or max_flash"),
        (3, {"max_parameters": 5, "max_flash": 5}, "either max_parameters or max_flash"),
        (3, {"max_parameters": "many"}, "max_parameters is 'many'"),
        (3, {"max_parameters": 0}, "max_parameters is 0"),
        (3, {"max_flash": "much"}, "max_flash is 'much'"),
        (1, {"max_parameters": 9}, "The number of classes is 1"),
        (-3, {"max_parameters": 9}, "The number of classes is -3"),
        ("ant bee", {"max_parameters": 9}, "classes is 'ant bee'"),
        ([1, 2], {"max_parameters": 9}, "classes is"),
        (True, {"max_parameters": 9}, "classes is True"),
    ],
)
def test_odd_values(several_generator: Generator, classes: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        several_generator.choose_architecture(classes, **options)
