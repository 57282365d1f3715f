"""The photographs that this package ships, and the words of ``make demo``."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest

import tina_photos
from tina_framework.images import read_picture

ROOT = Path(__file__).resolve().parents[3]
DEMO = Path(tina_photos.__file__).parent / "demo"
LISTED = json.loads((DEMO / "pictures.json").read_text(encoding="utf-8"))["pictures"]


def test_every_photograph_is_listed_readable_small_and_credited() -> None:
    files = {path.name for path in DEMO.iterdir() if path.suffix == ".jpg"}
    assert [entry["file"] for entry in LISTED] == sorted(files)
    assert 12 <= len(files) <= 24
    assert sum((DEMO / name).stat().st_size for name in files) < 2_000_000
    credits = (DEMO / "CREDITS.md").read_text(encoding="utf-8")
    for entry in LISTED:
        assert set(entry) == {"file", "class", "kind"}
        assert entry["kind"] == "photograph"
        assert entry["file"].startswith(entry["class"].replace(" ", "-"))
        assert min(read_picture(DEMO / entry["file"]).size) <= 320
        assert f"| `{entry['file']}` | " in credits


def test_make_demo_names_the_class_of_every_photograph() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^DEMO := (.*)$", makefile, re.MULTILINE)
    assert found is not None
    words = shlex.split(found[1])
    assert len(words) == len(set(words)) == 10
    assert set(words) == {entry["class"] for entry in LISTED}


def test_most_words_of_the_demo_are_no_class_of_imagenet_or_cifar100() -> None:
    import tina_framework

    folders = [
        DEMO.parent / "pretrained" / "photos",
        Path(tina_framework.__file__).parent / "pretrained" / "cifar100-cnn",
    ]
    known = {name for folder in folders for name in json.loads((folder / "config.json").read_text())["class_names"]}
    assert {entry["class"] for entry in LISTED} & known == {"goldfish", "hammer", "koala"}


@pytest.mark.slow
def test_the_recording_shows_what_make_demo_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run ``python docs/images/terminal.py`` to record it again."""
    pytest.importorskip("fcntl", reason="needs Linux or macOS")
    for name in ("NO_COLOR", "TINA_DISABLE_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = runpy.run_path(str(ROOT / "docs" / "images" / "terminal.py"))
    (tmp_path / "bin").mkdir()
    command = [str(terminal["program"](tmp_path / "bin")), *terminal["demo"]()]
    shown = terminal["draw"](terminal["demo"](), terminal["output_in_a_terminal"](command, tmp_path))
    recorded = (ROOT / "docs" / "images" / "demo.svg").read_text(encoding="utf-8")
    assert terminal["words"](shown) == terminal["words"](recorded)
    assert (tmp_path / "contact-sheet.png").is_file()
