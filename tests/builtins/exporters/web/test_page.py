"""The page in a headless Chromium: its answers are those of the classifier, offline too, and everybody can use it."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import DependencyError, DownloadError
from tina_framework.generator.generator import Generator
from tina_framework.images import Preprocessing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEMO = Path(str(resources.files("tina_framework"))) / "demo"
PLACE = "people/me/site"
"""The page lies in a folder of its server, as on a page of a project."""

CLASSES = ("apple", "bear", "bicycle", "bus", "castle", "clock", "cloud", "forest", "mountain", "train")
ODD_NAMES = (
    "<img src=x onerror=alert(1)>",
    "</script>",
    "&amp;",
    '"quoted"',
    "x" * 90,
    "تفاحة",
    "苹果",
    "a b",
    "e",
    "f",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra test")
    arguments = [
        "--no-sandbox",  # which root may not use
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        "--host-resolver-rules=MAP insecure.test 127.0.0.1",
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def classifier() -> GeneratedClassifier:
    """It answers "none of these" below its threshold."""
    made = Generator.from_pretrained("cifar100-cnn")(list(CLASSES))
    assert made.abstention_threshold is not None
    return made


@pytest.fixture(scope="module")
def odd_classifier(classifier: GeneratedClassifier) -> GeneratedClassifier:
    """Other names, no threshold, and pictures that are cut more tightly."""
    look = classifier.preprocessing
    tighter = Preprocessing(look.input_shape, look.mean, look.std, crop_pct=0.875)
    return GeneratedClassifier(classifier.network, classifier.architecture, ODD_NAMES, tighter)


def exported(classifier: GeneratedClassifier, folder: Path) -> Path:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    try:
        classifier.export(folder, "web")
    except (DependencyError, DownloadError) as error:
        pytest.skip(f"needs the npm package: {error}")
    return folder


@pytest.fixture(scope="module")
def site(classifier: GeneratedClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("web")
    exported(classifier, root / PLACE)
    return root


@pytest.fixture(scope="module")
def odd_site(odd_classifier: GeneratedClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("web")
    exported(odd_classifier, root / PLACE)
    return root


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Yield the address of the page, on a server as simple as ``python -m http.server``."""
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{PLACE}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with serving(site) as address:
        yield address


@dataclass
class Tab:
    """A page that is loaded, and what a test reads from it."""

    page: Page
    problems: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def choose(self, path: Path) -> None:
        # The rows of the picture before must not be taken for the answer.
        self.page.evaluate("document.getElementById('bars').replaceChildren()")
        self.page.set_input_files("#file", path)
        self.page.wait_for_selector("#bars li")

    def probabilities(self) -> dict[str, float]:
        rows = self.page.eval_on_selector_all(
            "#bars li", "rows => rows.map(row => [row.querySelector('bdi').textContent, row.dataset.probability])"
        )
        return {name: float(value) for name, value in rows}

    def best(self) -> str:
        return self.page.inner_text("#best bdi" if self.page.query_selector("#best bdi") else "#best")


Open = Callable[..., Tab]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open the page, and check at the end that no other host was asked and that nothing went wrong unseen."""
    tabs: list[Tab] = []

    def open_page(address: str, *, strict: bool = True, wait: bool = True, **options: Any) -> Tab:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 850}, **options})
        tab = Tab(context.new_page())
        if strict:
            tabs.append(tab)
        tab.page.on("pageerror", lambda error: tab.problems.append(str(error)))
        tab.page.on("console", lambda said: tab.problems.append(said.text))
        context.on("request", lambda request: tab.hosts.add(request.url.split("/people/")[0]))
        tab.page.goto(address)
        if wait:
            tab.page.wait_for_selector("#loading", state="hidden")
        return tab

    yield open_page
    for tab in tabs:
        assert tab.problems == []
        assert len(tab.hosts) == 1, tab.hosts
    for context in browser.contexts:
        context.close()


# ---- The same answers


def odd_pictures(folder: Path) -> list[Path]:
    """PNG files of all kinds: opacity, palettes, grey, few bits, other gamma, very large, very small, wide and tall."""
    random = np.random.default_rng(0)
    colour = Image.open(DEMO / "mountain-1.jpg").convert("RGB").resize((301, 222))
    grey = colour.convert("L")
    opacity = Image.fromarray(np.linspace(0, 255, 301 * 222).reshape(222, 301).astype(np.uint8))
    noise = Image.fromarray(random.integers(0, 256, (222, 301), dtype=np.uint8))
    gamma = PngImagePlugin.PngInfo()
    gamma.add(b"gAMA", (220_000).to_bytes(4, "big"))
    turned = Image.Exif()
    turned[0x112] = 6
    palette = colour.quantize(64)
    made: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "opacity": (Image.merge("RGBA", [*colour.split(), opacity]), {}),
        "noisy-opacity": (Image.merge("RGBA", [*colour.split(), noise]), {}),
        "grey-opacity": (Image.merge("LA", [grey, opacity]), {}),
        "grey": (grey, {}),
        "grey-16": (Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), {}),
        "one-bit": (colour.convert("1"), {}),
        "palette": (palette, {}),
        "palette-opacity": (palette, {"transparency": 5}),
        "gamma": (colour, {"pnginfo": gamma}),
        "turned": (colour, {"exif": turned}),
        "tiny": (Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8)), {}),
        "tall": (Image.fromarray(random.integers(0, 256, (900, 140, 3), dtype=np.uint8)), {}),
        "wide": (Image.fromarray(random.integers(0, 256, (90, 1400, 3), dtype=np.uint8)), {}),
        "large": (Image.fromarray(random.integers(0, 256, (2300, 1701, 3), dtype=np.uint8)), {}),
    }
    for name, (picture, options) in made.items():
        picture.save(folder / f"{name}.png", **options)
    return sorted(folder.glob("*.png"))


def photographs(folder: Path) -> list[Path]:
    """JPEG files, of which Python decodes the large ones at a reduced size; some lie on their side."""
    random = np.random.default_rng(0)
    for side in (400, 1100, 2400):
        for number, source in enumerate(("mountain-2.jpg", "cloud.jpg")):
            large = np.asarray(Image.open(DEMO / source).convert("RGB").resize((side * 4 // 3, side)), dtype=np.float64)
            grain = np.clip(large + random.normal(0, 8, large.shape), 0, 255).astype(np.uint8)
            turned = Image.Exif()
            turned[0x112] = 6 if number else 1
            Image.fromarray(grain).save(folder / f"{side}-{number}.jpg", quality=90, exif=turned)
    for orientation in range(2, 9):
        turned = Image.Exif()
        turned[0x112] = orientation
        Image.open(DEMO / "forest-1.jpg").save(folder / f"turned-{orientation}.jpg", exif=turned)
    Image.open(DEMO / "forest-1.jpg").convert("CMYK").save(folder / "cmyk.jpg")
    return sorted(folder.glob("*.jpg"))


def check(tab: Tab, classifier: GeneratedClassifier, path: Path, tolerance: float) -> None:
    tab.choose(path)
    expected = dict(zip(classifier.class_names, classifier.predict_proba(path)[0].tolist(), strict=True))
    found = tab.probabilities()
    assert found == pytest.approx(expected, abs=tolerance), path.name
    assert list(found) == [name for name, _ in sorted(found.items(), key=lambda item: -item[1])]
    [answer] = classifier.predict(path, abstain=classifier.abstention_threshold is not None)
    assert tab.best() == ("None of these" if answer is None else answer), path.name


def test_png_files_get_the_same_answers(
    address: str, classifier: GeneratedClassifier, open_page: Open, tmp_path: Path
) -> None:
    tab = open_page(address)
    for path in [*sorted(DEMO.glob("*.png")), *odd_pictures(tmp_path)]:
        check(tab, classifier, path, 1e-4)


def test_jpeg_files_get_nearly_the_same_answers(
    address: str, classifier: GeneratedClassifier, open_page: Open, tmp_path: Path
) -> None:
    tab = open_page(address)
    for path in [*sorted(DEMO.glob("*.jpg")), *photographs(tmp_path)]:
        check(tab, classifier, path, 0.02)


def test_a_tighter_cut_other_names_and_no_threshold(
    odd_site: Path, odd_classifier: GeneratedClassifier, open_page: Open, tmp_path: Path
) -> None:
    with serving(odd_site) as address:
        tab = open_page(address)
        for path in [*sorted(DEMO.glob("*.png")), *odd_pictures(tmp_path)]:
            check(tab, odd_classifier, path, 1e-4)
        assert tab.page.query_selector("main img, main script") is None
        assert "It always names one of its classes" in (tab.page.text_content("#honest") or "")
        # A name of 90 letters must not widen the page.
        tab.page.set_viewport_size({"width": 320, "height": 700})
        assert tab.page.evaluate("document.documentElement.scrollWidth") == 320
        tab.page.context.close()


# ---- Anywhere, and offline


def test_it_works_without_its_server(site: Path, classifier: GeneratedClassifier, open_page: Open) -> None:
    with serving(site) as address:
        tab = open_page(address)
        tab.page.wait_for_selector("#offline:not(:empty)")
    for again in (address, f"{address}index.html?from=home"):
        tab.page.goto(again)
        tab.page.wait_for_selector("#loading", state="hidden")
        check(tab, classifier, DEMO / "apple-drawing.png", 1e-4)


def test_a_new_version_replaces_the_saved_one(site: Path, odd_site: Path, open_page: Open, tmp_path: Path) -> None:
    place = tmp_path / PLACE
    shutil.copytree(site / PLACE, place)
    with serving(tmp_path) as address:
        tab = open_page(address)
        tab.page.wait_for_selector("#offline:not(:empty)")
        assert "apple" in tab.page.inner_text("#classes")
        shutil.rmtree(place)
        shutil.copytree(odd_site / PLACE, place)
        for file in place.rglob("*"):
            # The server compares whole seconds, and both folders may have been written within one.
            os.utime(file, (time.time() + 2,) * 2)
        [before] = tab.page.evaluate("caches.keys()")
        tab.page.reload()  # shows what is saved, and fetches the new files
        tab.page.wait_for_selector("#loading", state="hidden")
        for _ in range(150):
            tab.page.wait_for_timeout(200)
            if before not in tab.page.evaluate("caches.keys()"):
                break
        tab.page.reload()
        tab.page.wait_for_selector("#loading", state="hidden")
        assert "</script>" in tab.page.inner_text("#classes")
        tab.page.context.close()


def test_without_https_everything_but_the_camera_works(
    address: str, classifier: GeneratedClassifier, open_page: Open
) -> None:
    tab = open_page(address.replace("127.0.0.1", "insecure.test"))
    check(tab, classifier, DEMO / "bus-drawing.png", 1e-4)
    tab.page.click("#camera")
    assert "only on pages with https:// and on localhost" in tab.page.inner_text("[role=alert]")


def test_opened_as_a_file_it_says_what_it_needs(site: Path, open_page: Open) -> None:
    tab = open_page((site / PLACE / "index.html").as_uri(), strict=False, wait=False)
    tab.page.wait_for_selector("#late", state="visible", timeout=20_000)
    assert "the page needs a web server" in tab.page.inner_text("#answer")


def test_phones_can_install_it(address: str, open_page: Open) -> None:
    tab = open_page(address)
    session = tab.page.context.new_cdp_session(tab.page)
    found = session.send("Page.getAppManifest")
    assert found["errors"] == []
    assert found["url"] == f"{address}manifest.json"
    # The pages of a test are private ones, which is the only objection.
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {error["errorId"] for error in errors} <= {"in-incognito"}


def test_a_missing_file_is_named(site: Path, open_page: Open, tmp_path: Path) -> None:
    shutil.copytree(site / PLACE, tmp_path / PLACE)
    (tmp_path / PLACE / "model.onnx").unlink()
    with serving(tmp_path) as address:
        tab = open_page(address, strict=False)
        assert "model.onnx is missing on the server (status 404)" in tab.page.inner_text("#answer")


# ---- Files, drops and the camera


def test_what_is_no_picture_gets_a_sentence(address: str, open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "cut.png").write_bytes((DEMO / "apple-drawing.png").read_bytes()[:60])
    tab = open_page(address)
    tab.choose(DEMO / "apple-drawing.png")
    for name in ("notes.txt", "cut.png"):
        tab.page.set_input_files("#file", tmp_path / name)
        tab.page.wait_for_selector(f"[role=alert]:text('{name}')")
        assert tab.page.inner_text("#bars") == ""


def test_pictures_are_dropped(address: str, open_page: Open) -> None:
    tab = open_page(address)
    files = [list((DEMO / f"{name}-drawing.png").read_bytes()) for name in ("apple", "bus")]
    dropped = tab.page.evaluate_handle(
        """files => {
            const dropped = new DataTransfer();
            files.forEach((bytes, k) => dropped.items.add(new File([new Uint8Array(bytes)], `${k}.png`)));
            return dropped;
        }""",
        files,
    )
    tab.page.dispatch_event("h1", "drop", {"dataTransfer": dropped})
    tab.page.wait_for_selector("#bars li")
    assert tab.best() == "apple"
    assert "One picture at a time: this is “0.png”." in tab.page.inner_text("[role=alert]")
    nothing = tab.page.evaluate_handle("new DataTransfer()")
    tab.page.dispatch_event("h1", "drop", {"dataTransfer": nothing})
    assert "That is not a file" in tab.page.inner_text("[role=alert]")


def test_the_camera(address: str, open_page: Open) -> None:
    tab = open_page(address, permissions=["camera"])
    page = tab.page
    page.click("#camera")
    page.wait_for_selector("#bars li")
    assert page.get_attribute("#answer", "aria-live") == "off"
    assert page.evaluate("document.activeElement.id") == "snap"
    page.keyboard.press("Enter")
    page.wait_for_selector("#shown", state="visible")
    assert page.get_attribute("#answer", "aria-live") == "polite"
    assert page.evaluate("document.activeElement.id") == "camera"
    assert not page.evaluate("Boolean(document.getElementById('video').srcObject)")
    page.keyboard.press("Enter")
    page.wait_for_selector("#video", state="visible")
    page.click("#stop")
    page.wait_for_selector("#invitation", state="visible")
    assert page.inner_text("#bars") == ""


# ---- For everybody


def test_the_keyboard_reaches_everything(address: str, open_page: Open) -> None:
    tab = open_page(address)
    page = tab.page
    # Listening begins early, because Chromium takes a moment to begin.
    dialogues: list[Any] = []
    page.on("filechooser", lambda dialogue: dialogues.append(dialogue))
    tab.choose(DEMO / "apple-drawing.png")
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.localName"))
        seen = "#file-label" if reached[-1] == "file" else ":focus"
        assert page.eval_on_selector(seen, "element => getComputedStyle(element).outlineStyle") != "none", reached[-1]
        if reached[-1] == "file":
            page.keyboard.press("Enter")
            for _ in range(100):
                page.wait_for_timeout(0 if dialogues else 100)
            assert dialogues
        if reached[-1] == "more":
            assert page.locator("#bars li:visible").count() == 5
            page.keyboard.press("Enter")
            assert page.get_attribute("#more", "aria-expanded") == "true"
            assert page.locator("#bars li:visible").count() == len(CLASSES)
    assert reached == ["file", "camera", "more", "summary"]
    page.keyboard.press("Enter")
    assert page.is_visible("#facts")
    assert "cifar100-cnn" in page.inner_text("#facts")


def test_every_control_has_a_name(address: str, open_page: Open) -> None:
    tab = open_page(address)
    tab.choose(DEMO / "apple-drawing.png")
    tab.page.click("summary")
    # What a screen reader is told: a role, and a name in quotes, of each control.
    told = tab.page.locator("body").aria_snapshot()
    controls = re.findall(r"- (button|link|img|progressbar|heading|region|list|textbox)\b(.*)", told)
    assert {role for role, _ in controls} >= {"button", "link", "img", "heading", "region", "list"}
    assert all(rest.lstrip().startswith('"') for role, rest in controls), told
    assert 'button "Choose a picture"' in told
    assert "status:" in told
    assert tab.page.get_attribute("html", "lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(scheme: str, address: str, open_page: Open) -> None:
    tab = open_page(address, viewport={"width": 390, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    tab.choose(DEMO / "bear-drawing.png")
    page = tab.page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for control in page.query_selector_all(".button:visible"):
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    # The answer is seen without scrolling.
    answer = page.locator("#best").bounding_box()
    assert answer is not None
    assert answer["y"] + answer["height"] < 844
    assert page.eval_on_selector(".track span", "bar => getComputedStyle(bar).transitionDuration") == "0s"
