"""Side effects of loading a plugin: kept off the output, and noted for its author."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tina_framework.plugin.discovery import plugin_records
from tina_framework.plugin.hookspecs import PluginRecord

GOOD = """
TINA_API = "2.0"
from tina_framework import hookimpl

@hookimpl
def tina_register(registry):
    registry.datasets.add("mine", "json:dumps")
"""

Install = Callable[..., str]


def record_of(distribution: str) -> PluginRecord:
    return next(record for record in plugin_records() if record.distribution == distribution)


def test_what_a_plugin_prints_stays_off_the_output(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("fake-loud", "print('hello', 'there')\n" + GOOD)
    record = record_of("fake-loud")
    assert (record.status, record.notes) == ("ok", ["prints while it is loaded: hello there"])
    assert capsys.readouterr().out == ""


def test_a_slow_plugin_is_loaded_with_a_note(install: Install) -> None:
    install("fake-slow", "import time\ntime.sleep(1.0)\n" + GOOD)
    record = record_of("fake-slow")
    assert record.status == "ok"
    assert record.seconds >= 1.0
    assert record.notes == ["takes 1.0 s to load, for which every command waits; import lazily"]


def test_a_plugin_that_imports_torch_is_loaded_with_a_note(install: Install) -> None:
    """In a process of its own: this one has torch already."""
    site = install("fake-heavy", "import torch\n" + GOOD)
    code = "from tina_framework.plugin.discovery import plugin_records as r\n"
    code += "print([n for p in r() if p.distribution == 'fake-heavy' for n in p.notes][0])"
    environment = {**os.environ, "PYTHONPATH": site}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("imports torch when it is loaded; register strings"), done.stderr


def test_a_file_that_imports_torch_has_no_note(tmp_path: Path) -> None:
    """Its decorators cannot register strings, so the advice would not help."""
    (tmp_path / "heavy.py").write_text("import torch\n", encoding="utf-8")
    code = "import sys; from tina_framework.plugin.discovery import load_plugin_file as load; r = load(sys.argv[1])\n"
    code += "print('torch' in sys.modules, r.notes)"
    command = [sys.executable, "-c", code, str(tmp_path / "heavy.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True []", done.stderr


def test_the_built_ins_have_no_notes() -> None:
    code = "from tina_framework.plugin.discovery import plugin_records as r; print([p.notes for p in r() if p.name == 'builtins'])"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[[]]", done.stdout + done.stderr
