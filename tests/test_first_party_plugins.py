"""The distributions under plugins/: complete, and built on public names alone, as a stranger's would be."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tina_framework.plugin.api_version import check_api
from tina_framework.plugin.hookspecs import GROUP

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "third_party_plugin"
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
REFERENCE = ROOT / "docs" / "reference" / "plugin-api.md"


def public() -> dict[str, list[str]]:
    """Module -> names that docs/reference/plugin-api.md says a plugin may import from it."""
    _, _, section = REFERENCE.read_text(encoding="utf-8").partition("## What plugins may import")
    found: dict[str, list[str]] = {}
    for _, names, module in re.findall(r"^\| (.*) \| (.*) \| `(tina_framework[\w.]*)` \|$", section, re.MULTILINE):
        found.setdefault(module, []).extend(re.findall(r"`(\w+)`", names))
    return found


def package(plugin: Path) -> Path:
    return plugin / plugin.name.replace("-", "_")


def imported(path: Path) -> set[str]:
    """Modules of tina_framework that a file imports, except for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name for name in names if name.split(".")[0] == "tina_framework"}


def test_there_are_plugins() -> None:
    assert len(PLUGINS) >= 2


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_is_complete(plugin: Path) -> None:
    project = tomllib.loads((plugin / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == plugin.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert any(need.startswith("tina-framework") for need in project["dependencies"])
    (target,) = project["entry-points"][GROUP].values()
    module = (plugin / target.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
    stated = re.search(r'^TINA_API = "(.*)"$', module, re.MULTILINE)
    assert stated is not None, "the module with the hooks states the plugin API it was written for"
    check_api(stated[1])
    assert (package(plugin) / "py.typed").is_file()
    assert list((plugin / "tests").glob("test_*.py"))
    assert (plugin / "README.md").read_text(encoding="utf-8").startswith(f"# {plugin.name}\n")


@pytest.mark.parametrize("plugin", [*PLUGINS, EXAMPLE], ids=lambda path: path.name)
def test_a_plugin_imports_what_the_reference_lists_and_nothing_else(plugin: Path) -> None:
    sources = plugin / "src" if plugin == EXAMPLE else package(plugin)
    for path in sources.rglob("*.py"):
        for name in imported(path):
            assert name in public(), f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("module", public())
def test_what_the_reference_lists_can_be_imported(module: str) -> None:
    found = importlib.import_module(module)
    assert public()[module]
    assert set(public()[module]) <= set(found.__all__), "listed, so public"


@pytest.mark.slow
@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_builds_alone_and_its_wheel_is_whole(plugin: Path, tmp_path: Path) -> None:
    # A copy: building leaves folders behind.
    source = shutil.copytree(
        plugin, tmp_path / "source", ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    )
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert f"Name: {plugin.name}" in archive.read(metadata).decode()
    home = package(plugin)
    ours = {path.relative_to(plugin).as_posix() for path in home.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert held == ours, "code, types, and data the package needs; no tests, nothing else"
