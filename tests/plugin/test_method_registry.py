"""The registry of methods: what it refuses, how methods are written, and that the built-in entries fit their classes."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest

from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.interfaces.method import Method
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.method_registry import MethodEntry, MethodRegistry

ENTRIES = {entry.name: entry for entry in registries().methods.entries() if entry.distribution == "tina-framework"}


@pytest.fixture
def registry() -> MethodRegistry:
    return MethodRegistry("method")


@pytest.mark.parametrize("name", ENTRIES)
def test_every_built_in_entry_is_the_class_of_that_name(name: str) -> None:
    entry, method = ENTRIES[name], registries().methods.method_class(name)
    assert issubclass(method, Method)
    assert method.name == name
    assert entry.summary
    assert not entry.summary.endswith(".")
    if not entry.argument_required:
        method.check_argument(None)


def test_usage_shows_whether_the_argument_may_be_left_out() -> None:
    assert ENTRIES["chance"].usage == "chance"
    assert ENTRIES["ridge"].usage == "ridge[@STRENGTH]"
    assert ENTRIES["taper"].usage == "taper@FOLDER"


def test_an_argument_where_none_is_taken() -> None:
    with pytest.raises(ConfigError, match="'chance' takes no argument, but got '@x'; write just 'chance'"):
        ENTRIES["chance"].check_argument("x")


def test_an_empty_argument() -> None:
    with pytest.raises(ConfigError, match="write 'noise' or 'noise@SCALE'"):
        ENTRIES["noise"].check_argument("")
    with pytest.raises(ConfigError, match="write 'regressor@MODEL'"):
        ENTRIES["regressor"].check_argument("")


def test_entries_keep_the_order_of_registration(registry: MethodRegistry) -> None:
    for name in ("b", "a"):
        registry.add(name, Method, summary="a test.", argument="N")
    assert [(entry.name, entry.usage, entry.summary) for entry in registry.entries()] == [
        ("b", "b[@N]", "a test"),
        ("a", "a[@N]", "a test"),
    ]
    assert [row["usage"] for row in registry.describe()] == ["a[@N]", "b[@N]"]
    assert isinstance(registry.entry("a"), MethodEntry)


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({}, "has no summary"),
        ({"summary": "two\nlines"}, "give one printable line"),
        ({"summary": 3}, "give one printable line"),
        ({"summary": "fine", "argument": ""}, "give one printable line"),
        ({"summary": "fine", "argument_required": True}, "does not say how it is written"),
    ],
)
def test_texts_are_checked(registry: MethodRegistry, details: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        registry.add("mine", Method, **details)
    assert registry.names() == []


def test_what_is_no_method_is_refused_when_it_is_used(registry: MethodRegistry) -> None:
    registry.add("mine", "tests.plugin.test_method_registry:registry", summary="no class")
    registry.add("other", "tina_framework.evaluation.methods.chance:Chance", summary="another name")
    with pytest.raises(PluginError, match="register a subclass of"):
        registry.method_class("mine")
    with pytest.raises(PluginError, match=re.escape("calls itself 'chance'; both names must be the same")):
        registry.method_class("other")
    with pytest.raises(UnknownNameError, match="Did you mean 'mine'"):
        registry.method_class("mime")


def test_a_transaction_undoes_methods(registry: MethodRegistry) -> None:
    with contextlib.suppress(PluginError), registry.transaction():
        registry.add("mine", Method, summary="a test")
        registry.add("mine", Method, summary="the same name")
    assert registry.names() == []
