"""The site is built without a warning, needs no other host, has no broken link, and describes all that is public."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

import tina_framework

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
API = DOCS / "reference" / "api"
PAGES = [path for suffix in ("md", "rst", "ipynb") for path in DOCS.rglob(f"*.{suffix}")]
KINDS = ("architecture", "spec", "tokenizer", "encoder", "scheduler", "noise_process", "dataset", "exporter", "method")
"""The modules of `tina_framework.interfaces` that plugins import from."""

needs_sphinx = pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="needs the extra 'docs'")


class Page(HTMLParser):
    """The links, anchors and loaded files of a page of the site."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.anchors, self.loads = path, set[str](), set[str](), set[str]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attributes if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and "href" in given and given.get("rel") in ("stylesheet", "preload", "icon", "search"):
            self.loads.add(given["href"])
        if tag in ("script", "img", "source", "iframe", "object") and (source := given.get("src") or given.get("data")):
            self.loads.add(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once, also with several workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, log = shared / "site", shared / "site.log"
    with FileLock(shared / "site.lock"):
        if not log.exists():
            command = ["-b", "html", "-W", "--keep-going", "-q", "-E", "-c", str(DOCS), "-d", str(shared / "doctrees")]
            done = subprocess.run(
                [sys.executable, "-m", "sphinx", *command, str(ROOT), str(folder)],
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
                cwd=ROOT,
            )
            log.write_text("" if done.returncode == 0 else done.stdout + done.stderr, encoding="utf-8")
    warnings = log.read_text(encoding="utf-8")
    assert not warnings, warnings[-5000:]
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


@pytest.mark.slow
@needs_sphinx
def test_every_document_is_a_page_of_the_site(site: Path) -> None:
    expected = [site / path.relative_to(ROOT).with_suffix(".html") for path in PAGES]
    assert len(expected) >= 40
    assert [path for path in expected if not path.is_file()] == []


@pytest.mark.slow
@needs_sphinx
def test_links_of_the_site_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for page in pages.values():
        for link in page.links | page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                broken.append(f"{page.path.relative_to(site)}: {link}: there is no such file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                broken.append(f"{page.path.relative_to(site)}: {link}: there is no such place")
    assert sorted(broken) == []


@pytest.mark.slow
@needs_sphinx
def test_no_page_loads_a_file_of_another_host(pages: dict[Path, Page]) -> None:
    assert {load for page in pages.values() for load in page.loads if urlsplit(load).netloc} == set()


@pytest.mark.slow
@needs_sphinx
def test_the_root_of_the_site_leads_to_the_start_page(site: Path) -> None:
    assert 'url=docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")
    assert "photos-demo" in (site / "docs" / "index.html").read_text(encoding="utf-8")


def public_names() -> set[str]:
    names = {f"tina_framework.{name}" for name in tina_framework.__all__ if name != "prompt"}
    modules = [f"tina_framework.interfaces.{kind}" for kind in KINDS] + [
        "tina_framework.errors",
        "tina_framework.testing",
    ]
    for module in modules:
        names |= {f"{module}.{name}" for name in importlib.import_module(module).__all__}
    return names | {f"tina_framework.prompts.build.{name}" for name in ("text", "images", "vector")}


@pytest.mark.slow
@needs_sphinx
def test_every_public_name_is_in_the_api_reference(site: Path) -> None:
    from sphinx.util.inventory import InventoryFile

    inventory: Any = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    kinds = inventory.data if hasattr(inventory, "data") else inventory
    described = {name for kind, names in kinds.items() if kind.startswith("py:") for name in names}
    # Some are described under the name that users import, and some where they are defined.
    short = {name.rpartition(".")[2] for name in described}
    missing = [name for name in public_names() if name not in described and name.rpartition(".")[2] not in short]
    assert sorted(missing) == []


def test_every_name_of_the_package_has_its_place_in_the_api_reference() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in API.glob("*.rst"))
    names = [name for name in tina_framework.__all__ if name != "prompt"]
    missing = [
        name for name in names if not re.search(rf"^\.\. \w+:: tina_framework\.{name}$", text, flags=re.MULTILINE)
    ]
    assert missing == [], "add an autoclass or autofunction to docs/reference/api/package.rst"


@needs_sphinx
def test_the_navigation_has_every_document_of_the_index() -> None:
    navigation = runpy.run_path(str(DOCS / "conf.py"))["navigation"]
    index = "# Title\n\nSee [the one](a/one.md).\n\n## Tutorials: learn\n\n| [Two](b/two.ipynb) |\n![no](c.png)\n\n## Empty\n"
    first, second = navigation(index).split("\n\n```")
    assert first == "```{toctree}\n:hidden:\n\nthe one <a/one>\n```"
    assert second == "{toctree}\n:hidden:\n:caption: Tutorials\n\nTwo <b/two>\n```"
    contents = navigation((DOCS / "index.md").read_text(encoding="utf-8"))
    inside = {path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES} - {"index"}
    assert inside <= set(re.findall(r"<(.+)>", contents))
