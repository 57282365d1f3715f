"""The example plugin as a stranger would publish it: built as a wheel, installed into an environment of its own, and used there."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Environment

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "third_party_plugin"
NAME, PACKAGE = "tina-oscilloscope", "tina_oscilloscope"
ONLY_THIS = {"TINA_ALLOW_PLUGINS": NAME, "TINA_STRICT_PLUGINS": "1"}
"""Whatever else the present environment has installed stays out, and this one may not break unseen."""

NOT_RUN_AS_THEY_ARE = ["pip install '.[test]'", "pytest"]
"""Commands of the README for which the tests have equivalents without a network."""


def sources() -> list[Path]:
    return sorted((EXAMPLE / "src" / PACKAGE).glob("*"))


def readme_commands() -> list[list[str]]:
    """Every command of the README's blocks, in order."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    assert [line for line in lines if not line.startswith("tina ")] == NOT_RUN_AS_THEY_ARE
    return [shlex.split(line)[1:] for line in lines if line.startswith("tina ")]


def test_it_lies_outside_the_first_party_plugins_and_sees_public_names_alone() -> None:
    public = {"tina_framework", *(f"tina_framework.{name}" for name in ("errors", "interfaces.dataset", "testing"))}
    files = [path for path in EXAMPLE.rglob("*.py") if "build" not in path.parts]
    assert len(files) >= 7
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tina_framework"):
                assert node.module in public, f"{path.name} imports {node.module}"
            elif isinstance(node, ast.Import):
                assert not [a.name for a in node.names if a.name.startswith("tina_framework.")], path.name


def test_the_readme_names_every_source_file() -> None:
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    modules = [path.name for path in sources() if path.suffix == ".py" and path.name != "__init__.py"]
    assert [name for name in modules if f"`{name}`" not in text] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, new_environment: Callable[[], Environment]) -> Path:
    """Built from a copy, so that nothing is left in the tree, and without isolation, which would download the backend."""
    copy, out = tmp_path_factory.mktemp("source") / EXAMPLE.name, tmp_path_factory.mktemp("dist")
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, copy]
    new_environment().run(build, out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, new_environment: Callable[[], Environment]) -> Environment:
    made = new_environment()
    made.install(wheel)
    return made


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_entry_point_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        metadata = archive.read(f"{info}/METADATA").decode()
        points = archive.read(f"{info}/entry_points.txt").decode()
    assert inside == {f"{PACKAGE}/{path.name}" for path in sources() if path.is_file()}
    assert f"{PACKAGE}/py.typed" in inside
    assert "[tina_framework]\noscilloscope = tina_oscilloscope.plugin\n" in points
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in (
        f"Name: {NAME}",
        f"Version: {project['version']}",
        "Requires-Dist: tina-framework",
        "# tina-oscilloscope",
    ):
        assert f"\n{line}\n" in metadata


@pytest.mark.slow
def test_it_is_listed_and_keeps_commands_light(environment: Environment, tmp_path: Path) -> None:
    records = json.loads(environment.tina(["plugins", "list", "--json"], tmp_path, **ONLY_THIS))
    (record,) = [record for record in records if record["distribution"] == NAME]
    assert (record["status"], record["error"], record["notes"]) == ("ok", None, [])
    assert record["provides"] == {
        "architectures": ["scope-cnn"],
        "datasets": ["oscilloscope"],
        "commands": ["draw-wave"],
    }
    where = environment.run([environment.python, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(environment.python.parent.parent), "the wheel's package, not the tree's"
    code = (
        "import sys\nfrom tina_framework.cli.__main__ import main\ntry:\n    main(['plugins', 'list'])\nfinally:\n"
        "    print({'torch', 'numpy', 'PIL'} & sys.modules.keys())"
    )
    shown = environment.run([environment.python, "-c", code], tmp_path, **ONLY_THIS)
    assert "draw-wave" in shown
    assert shown.splitlines()[-1] == "set()"


@pytest.mark.slow
def test_the_commands_of_its_readme_run(environment: Environment, tmp_path: Path) -> None:
    """All of them as they are, beside the two recipes: check, zoo, training, generation, a picture, an answer."""
    for recipe in ("zoo.toml", "train.toml"):
        shutil.copy(EXAMPLE / recipe, tmp_path)
    printed = {}
    for words in readme_commands():
        extra = ["--json"] if words[0] in ("generate", "classify") or words[:2] == ["plugins", "check"] else []
        printed[" ".join(words[:2]) if words[0] in ("plugins", "zoo") else words[0]] = environment.tina(
            [*words, *extra], tmp_path, **ONLY_THIS
        )
    assert list(printed) == [
        "plugins show", "plugins check", "zoo build", "train", "generate", "draw-wave", "classify",
    ]  # fmt: skip

    assert "scope-cnn  (tina_oscilloscope.network:scope_cnn)" in printed["plugins show"]
    verdicts = {verdict["name"]: verdict["status"] for verdict in json.loads(printed["plugins check"])}
    assert verdicts == {"scope-cnn": "passed", "oscilloscope": "passed"}
    zoo = json.loads((tmp_path / "zoo" / "zoo.json").read_text(encoding="utf-8"))
    assert "scope-cnn" in json.dumps(zoo)
    (made,) = json.loads(printed["generate"])["classifiers"]
    assert made["parameters"] == 8_184 + 25 * 3
    config = json.loads((tmp_path / "classifier" / "config.json").read_text(encoding="utf-8"))
    assert config["architecture"] == "scope-cnn"
    assert config["preprocessing"]["input_shape"] == [1, 32, 32]
    (picture,) = json.loads(printed["classify"])["pictures"]
    # It was drawn as one of the three classes; a network at random would say so one time in three.
    assert picture["answers"][0]["class"] == "noisy long sawtooth wave"


@pytest.mark.slow
def test_its_own_tests_pass_there(environment: Environment, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)
    pytest_words = [environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = environment.run(pytest_words, tmp_path, **ONLY_THIS)
    assert re.search(r"\d{2} passed", tested)
    assert "failed" not in tested
