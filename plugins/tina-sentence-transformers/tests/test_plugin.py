"""Test the registration."""

from __future__ import annotations

import subprocess
import sys

from tina_framework import list_encoders


def test_the_encoder_is_registered() -> None:
    assert "sentence-transformers" in list_encoders()


def test_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, tina_sentence_transformers.plugin; "
        "sys.exit(bool({'torch', 'numpy', 'sentence_transformers', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
