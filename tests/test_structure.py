"""The structure of the package: few rooms, imports in one direction, no built-in named in the core, tests beside modules.

A room is a folder of `tina_framework`. A new room, or a new import between rooms, needs an entry in the tables below.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tina_framework.plugin.discovery import registries

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tina_framework"
DATA_ROOMS = {"demo", "pretrained", "templates"}
"""Rooms without modules of the package: examples, weights, and files that are copied for users."""

PUBLIC = "tina_framework"
"""An import from the package itself: `hookimpl`, `__version__`."""

MAY_IMPORT = {
    "errors": set(),
    "images": {"errors", "interfaces", "storage"},
    "storage": {"errors"},
    "terminal": {"errors"},
    "interfaces": {"errors"},
    "plugin": {"errors", "interfaces"},
    "targets": {"errors", "images", "interfaces", "storage"},
    "denoiser": {"errors", "interfaces", "plugin", "storage"},
    "prompts": {"errors", "images", "interfaces", "storage"},
    "classifier": {PUBLIC, "errors", "images", "interfaces", "plugin", "storage", "targets"},
    "generator": {"classifier", "denoiser", "errors", "images", "interfaces", "plugin", "prompts", "storage", "targets"},
    "zoo": {"errors", "images", "interfaces", "plugin", "storage", "targets"},
    "config": {"denoiser", "errors", "generator", "interfaces", "plugin", "storage"},
    "training": {
        PUBLIC, "config", "denoiser", "errors", "generator", "images", "interfaces", "plugin", "prompts", "storage", "targets",
        "terminal", "zoo",
    },
    "evaluation": {
        PUBLIC, "classifier", "denoiser", "errors", "generator", "images", "interfaces", "plugin", "prompts", "storage",
        "targets", "zoo",
    },
    "testing": {"errors", "generator", "images", "interfaces", "plugin", "zoo"},
    "ui": {
        "classifier", "errors", "generator", "images", "interfaces", "plugin", "prompts", "storage", "terminal",
    },
    # The built-ins are a plugin like any other: they see what plugin authors see.
    "builtins": {PUBLIC, "errors", "images", "interfaces", "plugin.suggest", "storage"},
    "cli": {
        PUBLIC, "classifier", "config", "errors", "evaluation", "generator", "images", "interfaces", "plugin", "prompts",
        "storage", "targets", "terminal", "testing", "training", "ui", "zoo",
    },
}  # fmt: skip
"""Room -> what its modules may import at run time besides their own room: whole rooms, or a single module of one."""


def modules() -> list[Path]:
    """All modules of the package, relative to its folder."""
    found = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return sorted(path for path in found if path.parts[0] not in DATA_ROOMS)


def room_of(module: Path) -> str:
    """The folder of a module; the name of a module at the top level."""
    return module.parts[0].removesuffix(".py")


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a syntax tree, without the bodies of ``if TYPE_CHECKING:``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_time_nodes(child)


def imports_of(module: Path) -> set[str]:
    """What a module imports from the package at run time: `PUBLIC`, or names such as ``plugin.registry``."""
    found = set()
    for node in run_time_nodes(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import; write the full name of the module."
            names = [node.module or ""]
            if node.module == PUBLIC:  # `from tina_framework import errors` imports a module, `hookimpl` does not
                modules = (PACKAGE / alias.name for alias in node.names)
                names = [
                    f"{PUBLIC}.{m.name}" if m.is_dir() or m.with_suffix(".py").is_file() else PUBLIC for m in modules
                ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.removeprefix(f"{PUBLIC}.") for name in names if name.split(".")[0] == PUBLIC}
    return found


def test_the_top_level_has_two_modules_and_few_rooms() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "errors"}
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert len(rooms) <= 21
    assert rooms - DATA_ROOMS == MAY_IMPORT.keys() - {"errors"}, "A room has no entry in MAY_IMPORT."


def test_there_are_at_most_nine_import_layers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = project["tool"]["importlinter"]["contracts"]
    assert len(contract["layers"]) <= 9
    assert {room.strip() for layer in contract["layers"] for room in layer.split("|")} >= MAY_IMPORT.keys()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    used = set()
    for module in (module for module in modules() if room_of(module) == room):
        for name in imports_of(module):
            target = name.partition(".")[0]
            if target == room:
                continue
            allowed = {target, name} & MAY_IMPORT[room]
            assert allowed, f"{module} imports {name}, which {room}/ may not import; see MAY_IMPORT."
            used |= allowed
    assert used == MAY_IMPORT[room], f"{room}/ no longer imports {MAY_IMPORT[room] - used}; shorten its entry."


def test_one_module_suggests_names() -> None:
    found = [module for module in modules() if "get_close_matches" in (PACKAGE / module).read_text(encoding="utf-8")]
    assert found == [Path("plugin/suggest.py")], "Use tina_framework.plugin.suggest."


def test_the_core_names_no_built_in_scheduler() -> None:
    rows = registries().schedulers.describe()
    names = {row["name"] for row in rows if row["distribution"] == "tina-framework"}
    classes = {row["target"].rpartition(":")[2] for row in rows if row["distribution"] == "tina-framework"}
    found = []
    for module in modules():
        if room_of(module) == "builtins":
            continue
        for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in names:
                found.append(f"{module}:{node.lineno} '{node.value}'")
            elif (
                isinstance(node, ast.Name | ast.alias)
                and (node.id if isinstance(node, ast.Name) else node.name) in classes
            ):
                found.append(f"{module}:{node.lineno}")
    # A training run needs some scheduler: the default of that one setting is the only exception.
    assert [place for place in found if not place.startswith("config/")] == []
    assert len(found) <= 1, f"Ask the scheduler's interface instead of its name: {found}"


def test_tests_mirror_the_package() -> None:
    missing = []
    for module in modules():
        test = ROOT / "tests" / module.parent / f"test_{module.name}"
        if not module.name.startswith("_") and not test.is_file():
            missing.append(str(module))
    assert missing == [], "Each module has a test file of its name in the same folder of tests/."
