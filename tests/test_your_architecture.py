"""docs/tutorials/your-architecture.md, done by the letter: its one file, its commands and its Python, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "tutorials" / "your-architecture.md").read_text(encoding="utf-8")


def block(mark: str, language: str) -> str:
    """The text of the one block of that language with that mark in the line before it."""
    (found,) = re.findall(rf"^<!-- {re.escape(mark)} -->\n```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


FILE = block("file: my_network.py", "python")
COMMANDS = [shlex.split(line) for line in block("run", "console").splitlines()]


def test_the_file_has_under_20_lines_and_one_decorated_function() -> None:
    assert len(FILE.splitlines()) < 20
    assert FILE.count("\n@register_architecture(") == FILE.count("\ndef ") == 1


def test_the_commands_name_the_file_and_go_from_check_to_classifier() -> None:
    assert [words[:3] for words in COMMANDS] == [["tina", "--plugin", "my_network.py"]] * len(COMMANDS)
    assert [words[3] for words in COMMANDS] == ["plugins", "zoo", "train", "generate"]


@pytest.mark.slow
def test_file_commands_and_python_do_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "my_network.py").write_text(FILE, encoding="utf-8")
    # Nothing else may be needed: other plugins are left out, and there is no network.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TINA_ALLOW_PLUGINS": ""}
    environment["PYTHONPATH"] = str(ROOT)

    def run(words: Sequence[str]) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    printed = [run([sys.executable, "-m", "tina_framework.cli", *words[1:]]) for words in COMMANDS]
    assert "Next: tina" in printed[0]
    assert "without training" in printed[-1]
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"my_network.py", "zoo", "run", "classifier"}

    config = json.loads((tmp_path / "classifier" / "config.json").read_text(encoding="utf-8"))
    assert config["architecture"] == "my-network"
    classes = COMMANDS[-1][4 : COMMANDS[-1].index("--model")]
    assert config["class_names"] == classes
    weights = load_file(tmp_path / "classifier" / "model.safetensors")
    assert weights["7.weight"].shape == (len(classes), 32)

    run([sys.executable, "-c", block("run", "python")])
