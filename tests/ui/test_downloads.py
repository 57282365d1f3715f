from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import DataError, TinaError, UnknownNameError
from tina_framework.generator.generator import Generator
from tina_framework.plugin.discovery import registries
from tina_framework.ui.downloads import FOLDER, download_formats, write_download

PICTURES = [np.random.default_rng(seed).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8) for seed in range(4)]


class NumbersExporter:
    """Writes the class names, and predicts with a network that it was given before."""

    suffix, int8, modules = ".txt", "optional", ()
    predict: Any = None

    def write(self, source: Any, path: Path) -> dict[str, Any]:
        path.write_text("\n".join(source.class_names))
        return {}

    def load(self, path: Path) -> Any:
        return type(self).predict


class FolderExporter(NumbersExporter):
    suffix, int8 = "", "never"

    def write(self, source: Any, path: Path) -> dict[str, Any]:
        path.mkdir()
        return super().write(source, path / "classes.txt")


class MissingExporter(NumbersExporter):
    modules = ("a_module_that_nobody_has",)


@pytest.fixture
def model(tiny_generator: Generator) -> GeneratedClassifier:
    made: GeneratedClassifier = tiny_generator(["ant", "bee", "Größe 7!"])
    NumbersExporter.predict = staticmethod(lambda pixels: made.logits(pixels).numpy())
    return made


@pytest.fixture
def exporters(monkeypatch: pytest.MonkeyPatch) -> Any:
    from tina_framework.plugin import discovery

    monkeypatch.setattr(discovery, "_host", None)
    found = registries().exporters
    for name, exporter in (("numbers", NumbersExporter), ("files", FolderExporter), ("missing", MissingExporter)):
        found.add(name, exporter)
    return found


def test_the_folder_comes_first(exporters: Any) -> None:
    formats = {each.name: each for each in download_formats()}
    assert next(iter(formats)) == FOLDER
    assert formats["numbers"].label == "numbers (.txt)"
    assert formats["numbers"].int8 == "optional"
    assert "zip" in formats["files"].label
    assert not formats["numbers"].problem


def test_a_format_without_its_package_says_what_to_install(exporters: Any) -> None:
    [missing] = [each for each in download_formats() if each.name == "missing"]
    assert "a_module_that_nobody_has" in missing.problem
    assert "pip install" in missing.problem


def test_the_folder_is_one_zip_file(model: GeneratedClassifier, tmp_path: Path) -> None:
    made = write_download(model, FOLDER, tmp_path)
    assert made.name == "ant-bee-gr-e-7.zip"
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(tmp_path / "out")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "out" / "ant-bee-gr-e-7")
    assert loaded.class_names == model.class_names


def test_an_exporter_writes_its_file(model: GeneratedClassifier, exporters: Any, tmp_path: Path) -> None:
    made = write_download(model, "numbers", tmp_path, pictures=PICTURES)
    assert made.name.endswith(".txt")
    assert made.path.read_text().startswith("ant\nbee")
    assert made.note == "100 % of its answers on 4 pictures equal the classifier's."
    assert "made-up" in write_download(model, "numbers", tmp_path).note


def test_an_exported_folder_is_zipped(model: GeneratedClassifier, exporters: Any, tmp_path: Path) -> None:
    made = write_download(model, "files", tmp_path)
    assert made.name == "ant-bee-gr-e-7-files.zip"
    assert any(name.endswith("/classes.txt") for name in zipfile.ZipFile(made.path).namelist())


def test_integers_need_photographs(model: GeneratedClassifier, exporters: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chosen on photographs"):
        write_download(model, "numbers", tmp_path, int8=True)
    assert write_download(model, "numbers", tmp_path, int8=True, pictures=PICTURES).path.is_file()


@pytest.mark.parametrize(("name", "error"), [("nothing", UnknownNameError), ("missing", TinaError)])
def test_a_failure_leaves_nothing(
    model: GeneratedClassifier, exporters: Any, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        write_download(model, name, tmp_path)
    assert list(tmp_path.iterdir()) == []
