"""The list of methods, and how they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.evaluation.methods.helpers import TASK
from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.evaluation.methods import methods_help, parse_methods
from tina_framework.evaluation.methods.average import Average
from tina_framework.evaluation.methods.fine_tune import FineTune
from tina_framework.evaluation.methods.nearest import Nearest
from tina_framework.evaluation.methods.p_model import PModel
from tina_framework.interfaces.method import Context, Method, MethodUnavailable
from tina_framework.plugin.discovery import registries

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "reference" / "methods.md"


def test_methods_keep_the_order_they_are_named_in() -> None:
    specs = parse_methods("selection, tina@ddpm:1000,tina@20 ,tina")
    assert [(s.name, s.argument) for s in specs] == [
        ("selection", None),
        ("tina", "ddpm:1000"),
        ("tina", "20"),
        ("tina", None),
    ]
    assert [s.label for s in specs] == ["selection", "tina@ddpm:1000", "tina@20", "tina"]


def test_labels_show_no_folders_of_this_machine() -> None:
    (spec,) = parse_methods("selection@/somewhere/private/zoo")
    assert spec.argument == "/somewhere/private/zoo"
    assert spec.label == "selection@zoo"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (" , ", ConfigError, "--methods is empty"),
        ("tina,tina", ConfigError, "both be called 'tina'"),
        ("selection@/a/zoo,selection@/b/zoo", ConfigError, "selection@zoo"),
        ("selecton", UnknownNameError, "Did you mean 'selection'"),
        ("taper", ConfigError, "write taper@FOLDER"),
        ("regressor", ConfigError, "write regressor@MODEL"),
        ("generic@x", ConfigError, "takes no argument"),
        ("tina@", ConfigError, "ends in '@'"),
        ("tina@0", ConfigError, "is no sampler"),
        ("tina@-3", ConfigError, "is no sampler"),
        ("tina@ddpm:many", ConfigError, "is no sampler"),
        ("random-prompt@euler:5", UnknownNameError, "euler"),
    ],
)
def test_mistakes_are_named_before_anything_is_loaded(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        parse_methods(text)


@pytest.mark.parametrize("method", [Average, Nearest, PModel, FineTune])
def test_without_a_zoo_the_reason_is_given(context: Context, method: type[Method]) -> None:
    context.zoo, context.no_zoo = None, "no zoo here; give its folder with --zoo"
    with pytest.raises(MethodUnavailable, match="give its folder with --zoo"):
        method(context).prepare([TASK])


def test_every_method_is_documented() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert [name for name in registries().methods.names() if f"### `{name}`" not in text] == []


def test_help_names_every_method_and_its_argument() -> None:
    text = methods_help("what is quick")
    assert text.endswith("Default: what is quick.")
    assert [e.name for e in registries().methods.entries() if f"{e.usage}: {e.summary}" not in text] == []
