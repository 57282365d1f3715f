"""The help of --methods lists plugins' methods too, and other help pages load no plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tina_framework.cli.__main__ import main

PLUGIN = """
from tina_framework import register_method
from tina_framework.interfaces.method import Method


@register_method("my-method", summary="a method of this file", argument="SCALE")
class Mine(Method):
    name = "my-method"
"""


def test_a_method_of_a_file_is_in_the_help_and_in_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tina_framework.plugin import discovery

    monkeypatch.setattr(discovery, "_host", None)
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "mine.py").write_text(PLUGIN)
    for words, part in (
        (["evaluate", "--help"], "my-method[@SCALE]: a method of this file"),
        (["list", "methods"], "my-method[@SCALE]"),
    ):
        with pytest.raises(SystemExit):
            main(["--plugin", str(tmp_path / "mine.py"), *words])
        assert part in " ".join(capsys.readouterr().out.split())


def test_the_list_of_commands_loads_no_plugin() -> None:
    code = """
from tina_framework.cli.__main__ import main
try:
    main(["--help"])
except SystemExit:
    pass
from tina_framework.plugin import discovery
assert discovery._host is None
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
