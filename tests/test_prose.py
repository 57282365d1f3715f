"""Documents have short sentences and lines, and the checker finds long ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECKED = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*/README.md", "plugins/*/README.md")
    for path in ROOT.glob(pattern)
)


def load_prose() -> ModuleType:
    """Import `tests/prose.py`, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("prose", ROOT / "tests" / "prose.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prose"] = module
    spec.loader.exec_module(module)
    return module


prose = load_prose()
LONG = f"Word{15 * ' word'}\n{' '.join(15 * ['word'])}"
"""31 words on two lines."""
SHORT = LONG.removesuffix(" word")
ONE_LINE = LONG.replace("\n", " ")


@pytest.mark.parametrize("document", CHECKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sentences_and_lines_are_short(document: Path) -> None:
    found = prose.offenders(document.read_text(encoding="utf-8"), document.relative_to(ROOT).as_posix())
    assert not found, "\n".join(str(offender) for offender in found)


def test_a_long_sentence_is_found_where_it_begins() -> None:
    text = f"# Title\n\nA short one. {LONG}.\n"
    (offender,) = prose.offenders(text, "a.md")
    assert (offender.file, offender.line, offender.problem) == ("a.md", 3, "31 words")
    assert prose.offenders(f"{SHORT}.\n") == []


def test_a_long_line_is_found() -> None:
    line = "One two. " * 17
    (offender,) = prose.offenders(f"{line.strip()}\n")
    assert offender.problem == "152 characters"
    assert prose.offenders(f"{line[:148].strip()}\n") == []


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{LONG} {LONG}\n```\n",
        f"````\n```\n{LONG} {LONG}\n````\n",
        f"| a | b |\n|---|---|\n| {ONE_LINE} | {ONE_LINE} |\n",
        f"<!-- {LONG}\n{LONG} -->\n",
        f"[a link](https://example.org/{'x' * 200})\n",
        f"[a link]: https://example.org/{'x' * 200}\n",
    ],
    ids=["code", "nested code", "table", "comment", "link", "link definition"],
)
def test_what_is_no_prose_is_left_out(text: str) -> None:
    assert prose.offenders(text) == []


def test_prose_after_code_and_comments_is_read() -> None:
    assert len(prose.offenders(f"```\ncode\n```\n<!-- c -->\n{LONG}\n")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One, e.g. Two. Three", ["One, e.g. Two.", "Three"]),
        ("See Li et al. 2024. Next.", ["See Li et al. 2024.", "Next."]),
        ("Run `a. B` now. `c` follows.", ["Run `a. B` now.", "`c` follows."]),
        ("Version 1.5 is out! Is it? Yes (really.) Good.", ["Version 1.5 is out!", "Is it?", "Yes (really.)", "Good."]),
        ("Noise ... then weights.", ["Noise ... then weights."]),
        ("# Title\nText:\n- one\n- two\n  more\n\n1. three", ["Title", "Text:", "one", "two more", "three"]),
        ("> quoted\n> text", ["quoted text"]),
        ("**Bold.** Next [one](a.md). *End.*", ["**Bold.**", "Next [one].", "*End.*"]),
    ],
)
def test_what_a_sentence_is(text: str, expected: list[str]) -> None:
    assert prose.sentences(text) == expected


def test_list_items_end_sentences() -> None:
    items = "\n".join(f"- {SHORT}" for _ in range(5))
    assert prose.offenders(items) == []


def test_code_counts_as_words() -> None:
    assert prose.count_words("Run `tina generate apple bear` - now") == 6


def test_the_script_lists_offenders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "long.md").write_text(f"{LONG}\n", encoding="utf-8")
    (tmp_path / "short.md").write_text("Short.\n", encoding="utf-8")
    assert prose.main([str(tmp_path / "long.md"), str(tmp_path / "short.md")]) == 1
    assert "long.md:1: 31 words: Word word" in capsys.readouterr().out
    assert prose.main([str(tmp_path / "short.md")]) == 0
