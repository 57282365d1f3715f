"""The folder that the format ``web`` writes. What the page does with it is tested in a browser: test_page.py."""

from __future__ import annotations

import dataclasses
import json
import re
from importlib import resources
from pathlib import Path

import pytest

from tests.builtins.exporters.web.conftest import FakePackage
from tina_framework.builtins.exporters.web.exporter import WebExporter
from tina_framework.builtins.exporters.web.runtime import VARIABLE
from tina_framework.interfaces.exporter import Exporter
from tina_framework.testing.checks.exporter import sample_source
from tina_framework.testing.exporter import ExporterTests

pytest.importorskip("onnx", reason="needs the extra onnx")


@pytest.fixture(autouse=True)
def _given_package(fake_package: FakePackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(fake_package.archive))


class TestConformance(ExporterTests):
    @pytest.fixture
    def exporter(self) -> Exporter:
        return WebExporter()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    facts = WebExporter().write(sample_source(), folder)
    assert facts["files"] == len(names(folder))
    return folder


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_files(folder: Path) -> None:
    assert names(folder) == {
        "app.js",
        "classifier.json",
        "icon.svg",
        "index.html",
        "manifest.json",
        "model.onnx",
        "picture.js",
        "reading.js",
        "runtime/LICENSE.txt",
        "runtime/ThirdPartyNotices.txt",
        "runtime/ort.js",
        "runtime/ort.wasm",
        "style.css",
        "sw.js",
    }


def test_classifier_json(folder: Path) -> None:
    found = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    source = sample_source()
    assert found["class_names"] == list(source.class_names)
    assert found["metadata"] == dict(source.metadata)
    assert (found["input"]["width"], found["input"]["height"], found["input"]["crop_pct"]) == (12, 12, 1.0)
    assert found["abstention_threshold"] is None
    assert found["int8"] is False
    assert found["downloads"] == {name: (folder / name).stat().st_size for name in ("model.onnx", "runtime/ort.wasm")}


def test_preprocessing_and_threshold_of_the_classifier(tmp_path: Path) -> None:
    metadata = {"input": {"crop_pct": 0.875}, "abstention_threshold": 3.5}
    WebExporter().write(dataclasses.replace(sample_source(), metadata=metadata), tmp_path / "site")
    found = json.loads((tmp_path / "site" / "classifier.json").read_text(encoding="utf-8"))
    assert (found["input"]["crop_pct"], found["abstention_threshold"]) == (0.875, 3.5)


def test_the_worker_keeps_all_files_and_has_a_version(folder: Path, tmp_path: Path) -> None:
    worker = (folder / "sw.js").read_text(encoding="utf-8")
    [kept] = re.findall(r"^const FILES = (\[.*\]);$", worker, re.MULTILINE)
    assert set(json.loads(kept)) == names(folder) - {"index.html", "sw.js"} | {"./"}
    [version] = re.findall(r'^const VERSION = "([0-9a-f]{16})";$', worker, re.MULTILINE)

    other = tmp_path / "other"
    WebExporter().write(dataclasses.replace(sample_source(), class_names=("x", "y", "z")), other)
    assert version not in (other / "sw.js").read_text(encoding="utf-8")


def test_class_names_appear_in_json_files_alone(tmp_path: Path) -> None:
    """The page inserts them as text, so none can become a part of its HTML or its program."""
    folder = tmp_path / "site"
    evil = ("</script><script>alert(1)</script>", '"];fetch("x")//', "çà \u05d0")
    WebExporter().write(dataclasses.replace(sample_source(), class_names=evil), folder)
    for path in folder.iterdir():
        if path.suffix in (".html", ".js", ".css", ".svg"):
            assert not any(name in path.read_text(encoding="utf-8") for name in evil)
    assert json.loads((folder / "classifier.json").read_text(encoding="utf-8"))["class_names"] == list(evil)
    assert evil[0] in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["name"]


def test_the_page_names_no_other_host_and_has_a_policy(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix in (".html", ".js", ".css", ".json"):
            text = path.read_text(encoding="utf-8").replace("https:// and on localhost", "")
            assert "//" not in re.sub(r"(^|\s)//\s.*", "", text, flags=re.MULTILINE), path.name
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" in page
    # The policy forbids scripts and styles in the page, and addresses are relative: the folder may lie anywhere.
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page)
    assert not re.search(r'(?:src|href)="/', page)


def test_colours_have_enough_contrast() -> None:
    """WCAG 2.2, level AA: 4.5 for text and 3 for the edges of controls, in the light and in the dark."""
    style = (Path(str(resources.files("tina_framework.builtins.exporters.web"))) / "page" / "style.css").read_text(
        encoding="utf-8"
    )
    schemes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in style.split("(prefers-color-scheme: dark)")
    ]
    assert [len(colours) for colours in schemes] == [12, 12]
    for colours in schemes:
        for over in ("ground", "card"):
            for text in ("text", "soft", "accent", "bad"):
                assert contrast(colours[text], colours[over]) >= 4.5, (text, over)
            assert contrast(colours["edge"], colours[over]) >= 3
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
        assert contrast(colours["bar-best"], colours["track"]) >= 3


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
