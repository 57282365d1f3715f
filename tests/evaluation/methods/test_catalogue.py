"""The list of methods agrees with their classes, and needs no torch."""

from __future__ import annotations

import pytest

from tina_framework.errors import ConfigError
from tina_framework.evaluation.method import Method
from tina_framework.evaluation.methods.catalogue import METHODS, MethodEntry, methods_help


@pytest.mark.parametrize(("name", "entry"), METHODS.items(), ids=METHODS)
def test_every_entry_is_the_class_of_that_name(name: str, entry: MethodEntry) -> None:
    method = entry.load()
    assert issubclass(method, Method)
    assert method.name == name
    assert entry.summary
    assert not entry.summary.endswith(".")
    if entry.argument is None:
        with pytest.raises(ConfigError, match="takes no argument"):
            method.check_argument("x")
    if entry.argument_required:
        with pytest.raises(ConfigError, match=f"write {name}@"):
            method.check_argument(None)
    else:
        method.check_argument(None)


def test_help_names_every_method_and_its_argument() -> None:
    text = methods_help()
    assert [name for name, entry in METHODS.items() if f"{entry.usage(name)}: {entry.summary}" not in text] == []
    assert METHODS["chance"].usage("chance") == "chance"
    assert METHODS["ridge"].usage("ridge") == "ridge[@STRENGTH]"
    assert METHODS["taper"].usage("taper") == "taper@FOLDER"
