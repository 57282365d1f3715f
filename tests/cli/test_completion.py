"""What the shell is told at TAB: names, files left to the shell, no torch, and never a message."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tina_framework import list_architectures, list_datasets, list_encoders, list_exporters, list_generators
from tina_framework.cli.app import COMMANDS
from tina_framework.cli.completion import kinds, one_of, plugins, protocols, registered, tables
from tina_framework.plugin.discovery import registries

ROOT = Path(__file__).resolve().parents[2]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def complete(line: str, **variables: str) -> list[str]:
    """The answer to TAB at the end of a line in bash. Standard error must be empty."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", "tina_framework.cli"],
        env=environment(COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), _TINA_COMPLETE="complete_bash", **variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tina ", [*COMMANDS]),
        ("tina cl", ["classify"]),
        ("tina zoo ", ["build", "info", "export", "tasks"]),
        ("tina generate --model ", list_generators()),
        ("tina generate --model = ", list_generators()),
        ("tina generate --model =", list_generators()),
        ("tina generate apple --encoder clip-l", [name for name in list_encoders() if name.startswith("clip-l")]),
        ("tina generate --device c", ["cpu", "cuda"]),
        ("tina generate --dtype ", ["float32", "float16"]),
        ("tina zoo build --architecture ", list_architectures()),
        ("tina zoo build --dataset ", list_datasets()),
        ("tina export DIR --format ", list_exporters()),
        ("tina evaluate --suite ", ["prompts"]),
        ("tina list g", ["generators"]),
        ("tina list ", sorted(kind for kind, _ in registries())),
        ("tina plugins show built", ["builtins"]),
        ("tina reproduce ", ["cifar100"]),
        ("tina generate --contact", ["--contact-sheet"]),
    ],
)
def test_names_are_completed(line: str, words: list[str]) -> None:
    assert complete(line) == words


@pytest.mark.parametrize(
    "line", ["tina classify ", "tina generate ", "tina generate --out ", "tina train --config ", "tina classify x pic"]
)
def test_files_are_left_to_the_shell(line: str) -> None:
    """Bash completes files where the answer is empty."""
    assert complete(line) == []


def test_a_broken_plugin_prints_nothing_into_the_line(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "print('noise')\nimport sys\nsys.stderr.write('noise')\nraise ValueError('broken')\n"
    )
    info = tmp_path / "tina_loud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tina-loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tina_framework]\nloud = loud\n")
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    asked = environment(COMP_WORDS="tina generate --model cifar100", COMP_CWORD="3", _TINA_COMPLETE="complete_bash")
    done = subprocess.run(
        [sys.executable, "-m", "tina_framework.cli"],
        env=asked | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("cifar100-cnn\ncifar100-cnn-taught\ncifar100-many\n", "")


def test_completing_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sorted({'torch', 'numpy', 'transformers'} & sys.modules.keys())))\n"
        "from tina_framework.cli.__main__ import main\nmain([])"
    )
    for line in ("tina ", "tina generate --model ", "tina export x --format "):
        asked = environment(COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1), _TINA_COMPLETE="complete_bash")
        done = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_an_answer_takes_little_time() -> None:
    """Of this process and its children, because the machine may be busy: 0.25 s when this was written."""
    before = os.times()
    complete("tina generate --model ")
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    assert used < 1.0


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_answered_in_their_way(shell: str) -> None:
    asked = environment(
        _TYPER_COMPLETE_ARGS="tina generate --model cifar100",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TINA_COMPLETE=f"complete_{shell}",
    )
    done = subprocess.run(
        [sys.executable, "-m", "tina_framework.cli"], env=asked, capture_output=True, text=True, check=False
    )
    assert "cifar100-cnn" in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_with_the_script_that_is_shown(tmp_path: Path) -> None:
    (tmp_path / "tina").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tina_framework.cli "$@"\n')
    (tmp_path / "tina").chmod(0o755)
    script = """
        source <(tina --show-completion)
        COMP_WORDS=(tina generate --model cifar100); COMP_CWORD=3
        _tina_completion tina cifar100 --model
        printf '%s\\n' "${COMPREPLY[@]}"
        complete -p tina
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=False,
    )
    expected = ["cifar100-cnn", "cifar100-cnn-taught", "cifar100-many", "complete -o default -F _tina_completion tina"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_words_that_do_not_fit_complete_nothing() -> None:
    assert one_of("cpu", "cuda")("m") == []
    assert registered("generators")("./") == []
    assert kinds("enc") == ["encoders"]
    assert "builtins" in plugins("")
    assert tables("") == ["cifar100"]
    assert protocols("") == ["cifar100-10way"]
