"""The README of the benchmarks lists every script, and documents name scripts that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.script import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"
DOCUMENTS = [path for folder in ("docs", "examples", "benchmarks") for path in (REPOSITORY / folder).rglob("*.md")]


def _is_script(path: Path) -> bool:
    return path.suffix == ".sh" or (path.suffix == ".py" and '"__main__"' in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", ["reproduce", "choose"])
def test_the_readme_lists_every_script(folder: str) -> None:
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    names = [path.name.removesuffix(".py") for path in (BENCHMARKS / folder).iterdir() if _is_script(path)]
    assert len(names) > 5
    # The README names the parts of a script, which are no commands for readers, by a pattern.
    assert [n for n in names if not n.endswith("_setup") and not re.search(rf"`[\w .-]*\b{n}[ `]", text)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_documents_name_scripts_that_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    modules = [name.replace(".", "/") for name in re.findall(r"python -m (benchmarks\.[\w.]*\w)", text)]
    commands = [name for name in modules if not name.endswith("/NAME")]
    missing = [
        name for name in commands if not any((REPOSITORY / name).with_suffix(end).exists() for end in ("", ".py"))
    ]
    missing += [name for name in re.findall(r"bash (benchmarks/[\w./-]+)", text) if not (REPOSITORY / name).is_file()]
    assert missing == []
