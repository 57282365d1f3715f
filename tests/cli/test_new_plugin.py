"""``tina plugins new``: what it writes and refuses. That the result installs, passes and trains: tests/test_plugin_template.py."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tina_framework.cli.__main__ import main
from tina_framework.cli.new_plugin import FILES, write_plugin
from tina_framework.errors import ConfigError
from tina_framework.plugin.api_version import PLUGIN_API


def test_the_whole_template_is_written_and_filled_in(tmp_path: Path) -> None:
    folder = write_plugin("My.Plugin", tmp_path)
    assert folder == tmp_path / "my-plugin"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {target.replace("${module}", "my_plugin") for target in FILES.values()}
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "${" not in text
            if path.suffix == ".py":
                ast.parse(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["tina_framework"] == {"my-plugin": "my_plugin.plugin"}
    assert f'TINA_API = "{PLUGIN_API[0]}.{PLUGIN_API[1]}"' in (folder / "my_plugin" / "plugin.py").read_text()


def test_every_file_of_the_template_is_used() -> None:
    from importlib import resources

    root = Path(str(resources.files("tina_framework") / "templates" / "plugin"))
    assert {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} == FILES.keys()


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        write_plugin("mine", tmp_path)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("name", ["", "1st", "../up", "a b", "a--b", "-a", "class", "tina-framework", "plügin"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot name a package|is taken by"):
        write_plugin(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "no such file.txt", "x")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_plugin("mine", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_next_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["plugins", "new", "mine", "--in", str(tmp_path)])
    assert caught.value.code in (0, None)
    assert "tina plugins check mine" in capsys.readouterr().out
