"""The plugin of the built-ins: its names exist, and registering them imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

from tina_framework.builtins import plugin
from tina_framework.plugin.hookspecs import PluginRecord, Registrar, Registries


def registered() -> Registries:
    registries = Registries.empty()
    plugin.tina_register(
        Registrar(registries, PluginRecord("builtins", "tina-framework", "", "tina_framework.builtins.plugin"))
    )
    return registries


def test_every_kind_has_a_built_in_whose_target_can_be_imported() -> None:
    for _, registry in registered():
        assert registry.names()
        for name in registry.names():
            assert registry._resolve(registry.entry(name)) is not None


def test_registering_imports_nothing_heavy() -> None:
    code = "import sys, tina_framework.builtins.plugin; print(sorted({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
