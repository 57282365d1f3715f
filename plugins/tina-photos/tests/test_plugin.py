"""Listing the names of the plugin loads no large library."""

from __future__ import annotations

import subprocess
import sys


def test_the_module_of_the_plugin_is_light() -> None:
    code = "import sys, tina_photos.plugin; print(sorted({'torch', 'numpy', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
