"""The first examples of the project's README, pasted as they are after ``make demo``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FIRST_USE = (ROOT / "README.md").read_text(encoding="utf-8").partition("## First use")[2].partition("\n## ")[0]
CONSOLE, PYTHON = (re.findall(rf"```{language}\n(.*?)```", FIRST_USE, re.DOTALL) for language in ("console", "python"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of the project with an environment ``.venv``, as after ``make demo``. What is written stays in it."""
    (tmp_path / "plugins").symlink_to(ROOT / "plugins")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "tina").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tina_framework.cli "$@"\n', encoding="utf-8")
    (programs / "tina").chmod(0o755)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n', encoding="utf-8")
    return tmp_path


def run(command: list[str], project: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_section_has_one_example_of_each_kind() -> None:
    assert (len(CONSOLE), len(PYTHON)) == (1, 1)


@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands are for bash")
def test_the_commands_run_and_are_right(project: Path) -> None:
    printed = run(["bash", "-ec", CONSOLE[0]], project)
    rows = [line.split("\t") for line in printed.splitlines() if line.startswith("plugins/")]
    assert len(rows) == 4
    for picture, answer, *_ in rows:
        assert Path(picture).name.startswith(answer.replace(" ", "-"))
    assert (project / "classifier" / "model.safetensors").is_file()


def test_the_python_example_runs_and_is_right(project: Path) -> None:
    assert run([sys.executable, "-c", PYTHON[0]], project).startswith("['giraffe']")
    assert (project / "my-classifier" / "model.safetensors").is_file()


def test_every_path_of_the_examples_is_in_the_project() -> None:
    for path in re.findall(r"plugins/[^\s\"{]+\.jpg", FIRST_USE):
        assert (ROOT / path).is_file()
