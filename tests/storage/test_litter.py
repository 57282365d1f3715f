"""Files of operating systems are recognised."""

from __future__ import annotations

import pytest

from tina_framework.storage.litter import is_litter


@pytest.mark.parametrize(
    "name", [".DS_Store", "._config.json", "Thumbs.db", "desktop.ini", "DESKTOP.INI", "@eaDir", "Icon\r"]
)
def test_litter(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize("name", ["config.json", ".git", ".gitattributes", "notes.txt", ".ipynb_checkpoints", "icon"])
def test_files_of_users(name: str) -> None:
    assert not is_litter(name)
