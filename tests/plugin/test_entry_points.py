"""Entry points of installed plugins, listed without importing them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tina_framework.plugin.entry_points import find_plugins, normal_name

Install = Callable[..., str]


def test_a_source_tree_without_metadata_still_has_the_built_ins(tmp_path: Path) -> None:
    assert [(p.distribution, p.name, p.target) for p in find_plugins([str(tmp_path)])] == [
        ("tina-framework", "builtins", "tina_framework.builtins.plugin")
    ]


def test_a_malformed_entry_points_file_hides_no_other_plugin(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("fake-malformed", "", points="this is no ini file\n")
    site = install("fake-good", "", version="3.0", entry="mine")
    found = find_plugins([site])
    assert ("fake-good", "mine", "fake_good", "3.0") in found
    assert "malformed" in caplog.text


def test_an_entry_point_is_found_without_importing_it(install: Install) -> None:
    site = install("fake-bad", "raise RuntimeError('imported')", entry="entry", version="2.1")
    found = find_plugins([site])
    assert [plugin.distribution for plugin in found] == ["tina-framework", "fake-bad"]
    assert found[1] == ("fake-bad", "entry", "fake_bad", "2.1")


@pytest.mark.parametrize("name", ["Tina_Sounds", "tina.sounds", "tina--sounds", "tina-sounds"])
def test_names_of_distributions_are_normalised(name: str) -> None:
    assert normal_name(name) == "tina-sounds"
