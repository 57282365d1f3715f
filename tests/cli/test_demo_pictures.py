"""The pictures that packages ship with their generators."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tina_framework.cli.demo_pictures import demo_pictures
from tina_framework.errors import PluginError


def ship(package: Path, listed: Any, *files: str) -> None:
    (package / "demo").mkdir()
    (package / "demo" / "pictures.json").write_text(json.dumps(listed), encoding="utf-8")
    for name in files:
        (package / "demo" / name).write_bytes(b"")


def entry(**changes: Any) -> dict[str, Any]:
    return {"file": "bee.png", "class": "bee", "kind": "photograph"} | changes


def test_the_own_pictures_of_this_package() -> None:
    for model in ("cifar100-cnn", "a/folder", "owner/on-the-hub"):
        found = demo_pictures(model, ["Apple", "wombat"])
        assert [(picture.truth, picture.kind) for picture in found] == [("apple", "drawing")]
        assert all(picture.path.is_file() for picture in found)


def test_a_plugin_brings_its_own(generator_plugin: Path) -> None:
    ship(generator_plugin, {"pictures": [entry(), entry(file="ant.png", **{"class": "ant"})]}, "bee.png", "ant.png")
    [found] = demo_pictures("toys", ["Bee", "apple"])
    assert (found.path, found.truth) == (generator_plugin / "demo" / "bee.png", "bee")
    assert demo_pictures("toys", ["apple"]) == []
    assert [picture.truth for picture in demo_pictures("cifar100-cnn", ["apple", "bee"])] == ["apple"]


def test_a_plugin_without_pictures_shows_those_of_this_package(generator_plugin: Path) -> None:
    assert [picture.truth for picture in demo_pictures("toys", ["apple"])] == ["apple"]


@pytest.mark.parametrize(
    "listed",
    [[], {}, {"pictures": 3}, {"pictures": [3]}, {"pictures": [{}]}, {"pictures": [entry(file=1)]}, {"pictures": [entry(kind="")]}],
    ids=range(7),
)  # fmt: skip
def test_a_damaged_list_is_reported(generator_plugin: Path, listed: Any) -> None:
    ship(generator_plugin, listed)
    with pytest.raises(PluginError, match="is not a list of demo pictures"):
        demo_pictures("toys", ["bee"])


@pytest.mark.parametrize("name", ["bee.png", "../../secret.png", "/etc/passwd"])
def test_files_outside_the_folder_are_not_read(generator_plugin: Path, name: str) -> None:
    ship(generator_plugin, {"pictures": [entry(file=name)]})
    (generator_plugin.parent / "secret.png").write_bytes(b"")
    with pytest.raises(PluginError, match="but there is no such file"):
        demo_pictures("toys", ["bee"])


def test_generate_shows_them_and_draws_the_sheet(
    generator_plugin: Path, picture_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tina_framework.cli.__main__ import main

    ship(generator_plugin, {"pictures": [entry()]})
    shutil.copy(picture_folder / "a.png", generator_plugin / "demo" / "bee.png")
    arguments = ["generate", "ant", "Bee", "--model", "toys", "--contact-sheet", "sheet.png", "--json"]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert not caught.value.code
    result = json.loads(capsys.readouterr().out)
    [row] = result["pictures"]
    assert (row["picture"], row["truth"], row["kind"]) == ("bee.png", "bee", "photograph")
    assert row["right"] == (row["answer"] == "Bee")
    assert result["contact_sheet"] == "sheet.png"
    assert Path("sheet.png").is_file()
