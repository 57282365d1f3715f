"""The page in Chromium, and the process behind it: `tina ui` as a person starts, uses and ends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import TinaError
from tina_framework.ui.limits import MAX_PHOTOGRAPHS, MAX_PICTURE_BYTES

pytest.importorskip("starlette", reason="needs the extra ui")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra test")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEMO = Path(__file__).resolve().parents[2] / "tina_framework" / "demo"
PICTURES = [DEMO / name for name in ("apple-drawing.png", "forest-1.jpg", "mountain-2.jpg")]
IDLE = "body:not([aria-busy])"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals"),
]


def environment(temporary: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(temporary), "HF_HUB_OFFLINE": "1"}


@dataclass
class Program:
    """A running ``tina ui``."""

    process: subprocess.Popen[str]
    url: str
    temporary: Path


PLUGIN = """
import torch
from tina_framework import hookimpl
from tina_framework.errors import ConfigError

class Integers:
    suffix, int8, modules, network = ".txt", "always", (), None

    def write(self, source, path):
        path.write_text(f"{len(source.calibration)} pictures")
        type(self).network = source.network
        return {}

    def load(self, path):
        return lambda pixels: self.network(torch.from_numpy(pixels)).detach().numpy()

class Refusing(Integers):
    int8 = "never"

    def write(self, source, path):
        raise ConfigError("Format 'refusing' holds no such network; choose another one.")

class Missing(Integers):
    modules = ("a_module_that_nobody_has",)

@hookimpl
def tina_register(registry):
    registry.exporters.add("integers", Integers)
    registry.exporters.add("missing", Missing)
    registry.exporters.add("refusing", Refusing)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "formats.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "tina_framework.cli", "--plugin", str(tmp_path / "formats.py"), "ui"]
    command += ["--no-open", "--model", "cifar100-cnn"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment(temporary)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, (line, process.stderr and process.stderr.read())
        yield Program(process, found[0], temporary)
        if process.poll() is None:
            process.kill()


@dataclass
class Browser:
    """A page in the browser, every request that it made, and every error."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def answers(self, group: str = ".now") -> list[list[tuple[str, float]]]:
        """Class and probability of every bar of every photograph, in order."""
        return [
            [
                (bar.get_attribute("data-class"), float(bar.get_attribute("data-probability")))
                for bar in card.query_selector_all(f"{group} .bar")
            ]
            for card in self.page.query_selector_all(".card")
        ]

    def idle(self) -> None:
        self.page.wait_for_selector(IDLE)

    def generate(self, words: str) -> None:
        self.page.fill("#words", words)
        self.page.click("#generate")
        self.page.wait_for_selector("#formats input")
        self.idle()

    def download(self, folder: Path, format: str = "folder") -> Path:
        self.page.check(f"#formats input[value='{format}']")
        with self.page.expect_download(timeout=120_000) as caught:
            self.page.click("#download")
        path = folder / str(caught.value.suggested_filename)
        caught.value.save_as(path)
        self.idle()
        return path


@pytest.fixture
def browser(program: Program) -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 390, "height": 800})
        page.set_default_timeout(60_000)
        found = Browser(page)
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.goto(program.url)
        found.idle()
        yield found
        chromium.close()


def classified(folder: Path, pictures: list[Path]) -> list[list[tuple[str, float]]]:
    """What ``tina classify`` answers."""
    command = [sys.executable, "-m", "tina_framework.cli", "classify", str(folder), *map(str, pictures), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads(run.stdout)["pictures"]
    return [[(answer["class"], answer["probability"]) for answer in row["answers"]] for row in rows]


def same(first: list[list[tuple[str, float]]], second: list[list[tuple[str, float]]]) -> None:
    assert [[name for name, _ in row] for row in first] == [[name for name, _ in row] for row in second]
    for one, other in zip(first, second, strict=True):
        assert [p for _, p in one] == pytest.approx([p for _, p in other], abs=1e-4)


def has_web_runtime() -> bool:
    """Whether the files that the format ``web`` copies are here, or npm can fetch them."""
    from tina_framework.builtins.exporters.web.runtime import runtime_files

    try:
        return bool(runtime_files())
    except TinaError:
        return False


def unpacked(archive: Path) -> Path:
    zipfile.ZipFile(archive).extractall(archive.parent)
    return archive.with_suffix("")


def test_words_photographs_teaching_and_download(program: Program, browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    page.set_input_files("#photographs", [str(path) for path in PICTURES])
    page.wait_for_selector(f"{IDLE} .card:nth-child(3)")
    browser.generate("apple, forest\nmountain=a high, steep mountain")
    before = browser.answers()
    assert len(before) == 3
    same(before, classified(unpacked(browser.download(tmp_path)), PICTURES))

    # One picture is taken from the photographs, and the others are chosen for a class.
    assert page.is_disabled("#fine-tune")
    page.select_option(".card:nth-child(1) select", label="apple")
    browser.idle()
    for label, name in ((1, "forest-2.jpg"), (2, "mountain-1.jpg")):
        page.check(f"#teach-{label}", force=True)
        page.set_input_files("#examples", str(DEMO / name))
        page.wait_for_selector(f"{IDLE} #thumbs img")
    page.click("#fine-tune")
    page.wait_for_selector(f"{IDLE} .after")
    same(browser.answers(".before"), before)
    after = browser.answers(".after")
    assert after != before
    (tmp_path / "tuned").mkdir()
    same(after, classified(unpacked(browser.download(tmp_path / "tuned")), PICTURES))
    page.click("#undo")
    page.wait_for_selector(f"{IDLE} .now")
    same(browser.answers(), before)

    assert page.is_hidden("#message")
    assert browser.errors == []
    assert {url.partition("?")[0].rpartition("/")[0].partition("/api")[0] for url in browser.requests} <= {
        program.url,
        f"blob:{program.url}",
    }
    # A phone shows the page without scrolling sideways.
    assert page.locator("body").bounding_box()["width"] <= 390
    program.process.send_signal(signal.SIGINT)
    _, err = program.process.communicate(timeout=60)
    assert program.process.returncode == 130
    assert err.splitlines() == ["Stopped by SIGINT. Its temporary files were removed."]
    assert list(program.temporary.iterdir()) == []


def test_every_format_is_downloaded_or_says_why_not(browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    browser.generate("apple, forest, mountain")
    names = [each.get_attribute("value") for each in page.query_selector_all("#formats input")]
    assert names[0] == "folder"
    skipped = {"refusing"} if has_web_runtime() else {"refusing", "web"}
    assert "torch-export" in names
    for name in names:
        choice = page.locator(f"#formats input[value='{name}']")
        if choice.is_disabled():
            assert "install" in page.inner_text(f"#formats label:has(input[value='{name}'])")
        elif choice.get_attribute("data-int8") != "always" and name not in skipped:
            assert browser.download(tmp_path, name).stat().st_size > 10_000


def test_formats_that_need_pictures_packages_or_another_network(browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    browser.generate("apple, forest, mountain")
    assert page.is_hidden("#int8-label")
    assert "a_module_that_nobody_has" in page.inner_text(".format.off:has(input[value='missing'])")
    page.check("#formats input[value='integers']")
    assert page.is_visible("#int8-label")
    assert page.is_checked("#int8")
    page.click("#download")
    page.wait_for_selector(f"{IDLE} #message:not([hidden])")
    assert "chosen on photographs" in page.inner_text("#message")
    page.set_input_files("#photographs", [str(path) for path in PICTURES])
    page.wait_for_selector(f"{IDLE} .card:nth-child(3)")
    assert browser.download(tmp_path, "integers").read_text() == "3 pictures"
    assert "100 % of its answers on 3 pictures" in page.inner_text("#download-text")

    page.check("#formats input[value='refusing']")
    page.click("#download")
    page.wait_for_selector(f"{IDLE} #formats input[value='refusing']:disabled")
    assert "holds no such network" in page.inner_text("#message")
    assert page.is_disabled("#formats input[value='refusing']")


def test_what_is_wrong_is_one_sentence(program: Program, browser: Browser, tmp_path: Path) -> None:
    page = browser.page

    def said() -> str:
        browser.idle()
        page.wait_for_selector("#message:not([hidden])")
        text = str(page.inner_text("#message"))
        assert "Traceback" not in text
        return text

    page.fill("#words", "apple")
    page.click("#generate")
    assert "at least 2 classes" in said()
    page.fill("#words", "apple, @/etc/passwd")
    page.click("#generate")
    assert "opens none" in said()

    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with (tmp_path / "big.jpg").open("wb") as file:
        file.truncate(MAX_PICTURE_BYTES + 1)
    page.set_input_files("#photographs", [str(tmp_path / "broken.jpg"), str(tmp_path / "big.jpg"), str(PICTURES[0])])
    page.wait_for_selector(f"{IDLE} .card")
    text = said()
    assert "'broken.jpg' cannot be read" in text
    assert "'big.jpg' has more than 20 MB" in text
    assert page.locator(".card").count() == 1

    page.set_input_files("#photographs", [str(PICTURES[0])] * (MAX_PHOTOGRAPHS + 2))
    assert f"At most {MAX_PHOTOGRAPHS} photographs are allowed, so 3 of the {MAX_PHOTOGRAPHS + 2} files" in said()
    assert page.locator(".card").count() == MAX_PHOTOGRAPHS

    program.process.send_signal(signal.SIGTERM)
    program.process.wait(timeout=60)
    assert program.process.returncode == 143
    assert list(program.temporary.iterdir()) == []
    page.click("#generate")
    assert "Is 'tina ui' still running?" in said()


def test_nothing_is_left_if_it_ends_while_it_writes(program: Program, browser: Browser) -> None:
    browser.generate("apple, forest, mountain")
    browser.page.check("#formats input[value='torch-export']")
    browser.page.click("#download")
    for _ in range(600):
        if any(folder.iterdir() for folder in program.temporary.iterdir()):
            break
        time.sleep(0.01)
    program.process.send_signal(signal.SIGINT)
    program.process.wait(timeout=120)
    assert list(program.temporary.iterdir()) == []


def test_it_works_with_the_keyboard(browser: Browser) -> None:
    page = browser.page
    page.focus("#words")
    page.keyboard.press("Control+A")
    page.keyboard.type("apple, forest, mountain")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#formats input")
    browser.idle()
    seen = []
    for _ in range(5):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id"))
    assert seen == ["generate", "photographs", "samples", "teach-0", "examples"]
    page.focus("#samples")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{IDLE} .card")
    assert page.evaluate("document.activeElement.id") == "samples"
    page.focus("#teach-0")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#teach-name") == "forest"


def test_every_control_has_a_name(browser: Browser) -> None:
    browser.generate("apple, forest, mountain")
    browser.page.click("#samples")
    browser.page.wait_for_selector(f"{IDLE} .card")
    unnamed = "[...document.querySelectorAll('input, textarea, select')].filter(e => !e.labels.length && !e.ariaLabel)"
    assert browser.page.evaluate(f"{unnamed}.length") == 0
    unnamed = "[...document.querySelectorAll('button')].filter(e => !e.innerText.trim() && !e.ariaLabel && !e.hidden)"
    assert browser.page.evaluate(f"{unnamed}.map(e => e.id).filter(id => !id.startsWith('remove')).length") == 0
    assert browser.page.locator("img:not([alt])").count() == 0
