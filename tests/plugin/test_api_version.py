"""Plugins of other plugin APIs: reported in a sentence that says what to change, never loaded, never a crash."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tina_framework.errors import PluginError
from tina_framework.plugin import discovery
from tina_framework.plugin.api_version import MOVED, PLUGIN_API, check_api, import_advice
from tina_framework.plugin.discovery import load_plugin_file, plugin_records, registries
from tina_framework.plugin.hookspecs import PluginRecord

REGISTERS = """
from tina_framework import hookimpl

@hookimpl
def tina_register(registry):
    registry.datasets.add("mine", "{target}")
"""

Install = Callable[..., PluginRecord]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a made-up distribution `fake-old` and returns its record."""
    monkeypatch.setattr(discovery, "_host", None)
    before = set(sys.modules)

    def write(code: str, target: str = "json:dumps", **modules: str) -> PluginRecord:
        for name, text in {"fake_old": code + REGISTERS.format(target=target), **modules}.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        info = tmp_path / "fake_old-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-old\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[tina_framework]\nfake-old = fake_old\n")
        monkeypatch.syspath_prepend(tmp_path)
        return next(record for record in plugin_records() if record.distribution == "fake-old")

    yield write
    for name in set(sys.modules) - before:
        if name.startswith(("fake_", "tina_plugin_file_")):
            del sys.modules[name]


def test_a_plugin_for_this_api_is_loaded(install: Install) -> None:
    assert install('TINA_API = "2.0"\n').status == "ok"
    assert PLUGIN_API == (2, 4)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ('TINA_API = "1.1"\n', "it was written for plugin API 1.1, and this program has 2.4; upgrade the plugin, or"),
        ('TINA_API = "1.0"\n', "it was written for plugin API 1.0, and this program has 2.4; upgrade the plugin, or"),
        ("", "it states no plugin API, as plugins of 1.0 did, and this program has 2.4; upgrade the plugin, or"),
        ('TINA_API = "2.5"\n', "it was written for plugin API 2.5, and this program has 2.4; upgrade tina-framework"),
        ('TINA_API = "3.0"\n', "it was written for plugin API 3.0, and this program has 2.4; upgrade tina-framework"),
        ("TINA_API = 2\n", "its TINA_API is 2; write the plugin API it was made for"),
        ('TINA_API = "new"\n', "its TINA_API is 'new'; write"),
        ('TINA_API = "٢.٠"\n', "its TINA_API is '٢.٠'; write"),
    ],
)
def test_a_plugin_for_another_api_is_broken_and_says_what_to_change(install: Install, code: str, reason: str) -> None:
    record = install(code)
    assert record.status == "broken"
    assert str(record.error).startswith(reason)
    assert "\n" not in str(record.error)
    assert "mine" not in registries().datasets
    if "the plugin, or" in reason:
        for part in (
            "tina_framework.files is tina_framework.storage.files",
            "docs/reference/plugin-api.md",
            'TINA_API = "2.4"',
        ):
            assert part in str(record.error)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("from tina_framework.hookspecs import Registrar", "tina_framework.hookspecs, which is tina_framework.plugin.hookspecs"),
        ("from tina_framework import spec", "tina_framework.spec, which is tina_framework.interfaces.spec"),
        ("import tina_framework.spec", "tina_framework.spec, which is tina_framework.interfaces.spec"),
        ("from tina_framework.files import read_json", "tina_framework.files, which is tina_framework.storage.files"),
        ("from tina_framework.generation.card import x", "tina_framework.generation, which is tina_framework.generator"),
        (
            "from tina_framework.classifier import GeneratedClassifier",
            "tina_framework.classifier, which is tina_framework.classifier.classifier",
        ),
    ],
)  # fmt: skip
def test_an_old_module_path_is_named_with_its_new_place(install: Install, statement: str, sentence: str) -> None:
    record = install(statement + '\nTINA_API = "1.0"\n')
    assert record.status == "broken"
    assert record.error == (
        f"it imports {sentence} since plugin API 2.0; import the new name, "
        'and set TINA_API = "2.4" (docs/reference/plugin-api.md)'
    )


def test_a_name_that_never_was_is_reported_without_paths(install: Install) -> None:
    record = install("from tina_framework.interfaces.scheduler import Nothing\n")
    assert record.error == (
        "cannot import name 'Nothing' from 'tina_framework.interfaces.scheduler'; "
        "docs/reference/plugin-api.md lists what plugins for plugin API 2.4 may import"
    )


def test_a_registered_target_with_an_old_import_is_told_as_well(install: Install) -> None:
    code = {"fake_data": "from tina_framework.files import read_json\n"}
    assert install('TINA_API = "2.0"\n', "fake_data:make", **code).status == "ok"
    with pytest.raises(
        PluginError, match=r"'mine' of 'fake-old' cannot be imported: it imports tina_framework\.files, w"
    ):
        registries().datasets.create("mine")


def test_a_plugin_object_may_leave_it_to_its_module(install: Install) -> None:
    class Plugin:
        __module__ = "fake_module"

    sys.modules["fake_module"] = type(sys)("fake_module")
    sys.modules["fake_module"].TINA_API = "2.0"  # type: ignore[attr-defined]
    assert discovery._stated_api(Plugin()) == "2.0"
    assert discovery._stated_api(type(sys)("fake_other")) is None


def test_a_file_of_the_users_own_states_one_only_if_it_wants(install: Install, tmp_path: Path) -> None:
    (tmp_path / "fake_file.py").write_text("import tina_framework as t\nt.register_dataset('mine')(len)\n")
    assert load_plugin_file(tmp_path / "fake_file.py").status == "ok"
    (tmp_path / "fake_stale.py").write_text("TINA_API = '1.1'\n")
    with pytest.raises(
        PluginError, match=r"Plugin 'fake_stale\.py' failed to load: it was written for plugin API 1\.1"
    ):
        load_plugin_file(tmp_path / "fake_stale.py")


def test_the_command_line_reports_it_and_goes_on(install: Install, tmp_path: Path) -> None:
    install("from tina_framework.spec import ParameterSpec\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom tina_framework.cli.__main__ import main\nmain(['list', 'tokenizers'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "class-row" in done.stdout
    assert "Plugin 'fake-old' failed to load: it imports tina_framework.spec, which is" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_the_table_is_true(old: str, new: str) -> None:
    assert importlib.util.find_spec(f"tina_framework.{new}") is not None
    found = importlib.util.find_spec(f"tina_framework.{old}")
    assert found is None or found.submodule_search_locations is not None, "the old name is gone, or a room now"


def test_other_errors_get_no_advice() -> None:
    assert import_advice(ValueError("x")) is None
    assert import_advice(ModuleNotFoundError("No module named 'torch'", name="torch")) is None
    check_api(None, required=False)
