"""Hooks, registrars and the record of a plugin."""

from __future__ import annotations

import pytest

from tina_framework.errors import PluginError
from tina_framework.plugin.hookspecs import HookSpecs, PluginRecord, Registrar, Registries


def test_every_hook_and_kind_is_documented() -> None:
    hooks = [name for name in vars(HookSpecs) if name.startswith("tina_")]
    assert hooks == ["tina_register", "tina_commands"]
    documentation = str(HookSpecs.tina_register.__doc__)
    for kind, registry in Registries.empty():
        assert kind in documentation
        assert f"{registry.kind}s" == kind


def test_a_registrar_records_what_a_plugin_provides() -> None:
    registries = Registries.empty()
    record = PluginRecord("sounds", "tina-sounds", "1.0", "tina_sounds")
    Registrar(registries, record).encoders.add("waves", len)
    assert record.provides == {"encoders": ["waves"]}
    assert registries.encoders.entry("waves").distribution == "tina-sounds"
    Registrar(registries, None).encoders.add("mine", len)
    assert registries.encoders.entry("mine").distribution is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PluginError("its hook is wrong."), "its hook is wrong"),
        (ImportError("cannot import name 'x'"), "cannot import name 'x'"),
        (ValueError("late"), "ValueError: late"),
        (
            ModuleNotFoundError("No module named 'tina_sounds.a'", name="tina_sounds.a"),
            "No module named 'tina_sounds.a'; reinstall it",
        ),
        (
            ModuleNotFoundError("No module named 'waves'", name="waves"),
            "No module named 'waves'; install it: pip install waves",
        ),
    ],
)
def test_a_broken_plugin_has_a_reason(error: Exception, reason: str) -> None:
    record = PluginRecord("sounds", "tina-sounds", "1.0", "tina_sounds.plugin")
    record.fail(error)
    assert (record.status, record.error) == ("broken", reason)


def test_the_label_names_distribution_and_entry_point() -> None:
    assert PluginRecord("sounds", "tina-sounds", "1.0", "x").label == "Plugin 'tina-sounds' (sounds)"
    assert PluginRecord("my.py", "my.py", "", "my.py").label == "Plugin 'my.py'"
