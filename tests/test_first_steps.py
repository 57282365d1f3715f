"""docs/tutorials/first-steps.md, followed to the letter: its commands in a copy of what they need, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(
    r"^```(\w*)\n(.*?)^```$",
    (ROOT / "docs" / "tutorials" / "first-steps.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
CONSOLE = [text for language, text in BLOCKS if language == "console"]


def words_of(text: str) -> list[list[str]]:
    """Lines as lists of words, as the width of a column depends on the terminal."""
    return [line.split() for line in text.splitlines() if line.strip()]


def test_the_page_has_commands_and_outputs() -> None:
    assert len(CONSOLE) >= 5
    assert [language for language, _ in BLOCKS].count("") >= 2


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the commands are those of a POSIX shell")
@pytest.mark.skipif(
    not (ROOT / "tina_framework" / "pretrained" / "cifar100-cnn").is_dir(),
    reason="the bundled generator is not in the tree",
)
def test_the_commands_run_and_print_what_the_page_shows(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tina_framework" / "demo", tmp_path / "tina_framework" / "demo")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "tina").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tina_framework.cli "$@"\n', encoding="utf-8")
    (programs / "tina").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
        # As in a terminal, where pictures are listed in a table.
        "FORCE_COLOR": "1",
        "TERM": "xterm",
        "OMP_NUM_THREADS": "1",
        "TINA_ALLOW_PLUGINS": "",
        # The copied folder holds pictures alone: the package is found where it is.
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }
    done = subprocess.run(
        ["sh", "-ec", "".join(CONSOLE)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    printed = words_of(re.sub(r"\x1b\[[0-9;]*m", "", done.stdout))
    for language, text in BLOCKS:
        if language == "":
            assert [line for line in words_of(text) if line not in printed] == []
    assert "0.20" in done.stdout, "the familiarity of the unknown word"
    assert {"classifier", "unknown", "shown", "mine", "tuned"} <= {path.name for path in tmp_path.iterdir()}
