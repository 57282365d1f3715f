"""The application, called without a network."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.ui.test_session import picture
from tina_framework.generator.generator import Generator
from tina_framework.ui.limits import MAX_PICTURE_BYTES, MAX_TEXT_BYTES
from tina_framework.ui.session import Sample, Session
from tina_framework.ui.store import SessionStore

pytest.importorskip("starlette", reason="needs the extra ui")
from tina_framework.ui.application import SESSION_HEADER, make_application


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Page:
    """Sends requests as the page does."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self.key = ""
        self.headers = {"host": "127.0.0.1:8462", "origin": "http://127.0.0.1:8462"}
        self.key = self("POST", "/api/session").json["session"]

    def __call__(self, method: str, path: str, body: Any = b"", **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        parts = [data[start : start + 1_000_000] for start in range(0, len(data), 1_000_000)] or [b""]
        name, _, query = path.partition("?")
        sent = {**self.headers, SESSION_HEADER.lower(): self.key, **headers}
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": name, "raw_path": name.encode(),
            "query_string": query.encode(), "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8462), "headers": [(key.encode(), value.encode()) for key, value in sent.items()],
        }  # fmt: skip
        messages: list[Any] = []

        async def receive() -> Any:
            if parts:
                return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(message)

        asyncio.run(self._application(scope, receive, send))
        start = messages[0]
        return Answer(
            start["status"],
            {key.decode(): value.decode() for key, value in start["headers"]},
            b"".join(message.get("body", b"") for message in messages[1:]),
        )


@pytest.fixture
def page(tiny_generator: Generator, tmp_path: Path) -> Page:
    sample = tmp_path / "sample.png"
    sample.write_bytes(picture(7))
    (tmp_path / "temporary").mkdir()
    about = {"model": "tiny", "example": "ant"}
    store = SessionStore(lambda: Session(tiny_generator, lambda names: [Sample(sample, "ant")]))
    return Page(make_application(store, about, tmp_path / "temporary"))


def test_the_files_of_the_page_are_served(page: Page) -> None:
    answer = page("GET", "/")
    assert answer.status == 200
    assert b"<title>tina" in answer.body
    for path, kind in (("/page.js", "text/javascript"), ("/style.css", "text/css"), ("/icon.svg", "image/svg+xml")):
        answer = page("GET", path)
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert path.encode() in page("GET", "/").body


@pytest.mark.parametrize(
    "path", ["/index.html", "/../session.py", "/%2e%2e/session.py", "//etc/passwd", "/samples/0", "/samples/-1", "/api"]
)
def test_nothing_else_is_served(page: Page, path: str) -> None:
    assert page("GET", path).status == 404


def test_no_file_of_the_page_names_another_host(page: Page) -> None:
    for path in ("/", "/page.js", "/style.css", "/icon.svg"):
        text = page("GET", path).body.decode().replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"(?:https?:|['\"(])//\S*", text) == []


def test_words_photographs_teaching_download(page: Page, tmp_path: Path) -> None:
    assert page("POST", "/api/generate", {"words": "ant, bee"}).json["classifier"]["classes"] == ["ant", "bee"]
    state = page("POST", f"/api/photographs?name={quote('Gänse & ä.png')}", picture(0)).json
    assert [row["name"] for row in state["photographs"]] == ["Gänse & ä.png"]
    state = page("POST", "/api/photographs/1/teach", {"label": 1}).json
    assert state["teaching"]["counts"] == [0, 1]
    assert page("POST", "/api/examples/0?name=a.png", picture(1)).json["teaching"] == {"counts": [1, 1], "needs": ""}
    assert page("POST", "/api/fine-tune").json["photographs"][0]["before"] is not None
    assert page("POST", "/api/undo").json["photographs"][0]["before"] is None
    assert page("DELETE", "/api/examples/0").json["teaching"]["counts"] == [0, 1]
    assert page("POST", "/api/formats").json["formats"][0]["name"] == "folder"
    answer = page("POST", "/api/download", {"format": "folder"})
    assert answer.status == 200
    assert answer.body.startswith(b"PK")
    assert 'filename="ant-bee.zip"' in answer.headers["content-disposition"]
    assert list((tmp_path / "temporary").iterdir()) == []
    assert page("DELETE", "/api/photographs/1").json["photographs"] == []


def test_samples_are_served_once_they_are_shown(page: Page) -> None:
    page("POST", "/api/generate", {"words": "ant, bee"})
    state = page("POST", "/api/samples").json
    assert state["samples"] == {"1": 0}
    assert page("GET", "/samples/0").body == picture(7)
    assert page("POST", "/api/samples").json["samples"] == {"2": 0}
    assert page("DELETE", "/api/photographs").json["photographs"] == []


def test_an_error_is_one_sentence(page: Page) -> None:
    answer = page("POST", "/api/generate", {"words": "ant"})
    assert answer.status == 400
    assert answer.json["error"].endswith(".")
    answer = page("POST", "/api/photographs?name=a.png", b"no picture")
    assert answer.json["error"].startswith("'a.png' cannot be read")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 50_000, b'{"words": 1}', b'{"words": null}'], ids=range(7)
)
def test_a_request_that_the_page_never_sends_is_refused(page: Page, body: bytes) -> None:
    for path in ("/api/generate", "/api/download"):
        assert page("POST", path, body).status == 400


def test_a_wrong_label_is_refused(page: Page) -> None:
    page("POST", "/api/generate", {"words": "ant, bee"})
    page("POST", "/api/photographs", picture(0))
    for label in ("1", 1.5, True, [], 7):
        assert page("POST", "/api/photographs/1/teach", {"label": label}).status == 400


def test_large_uploads_are_refused(page: Page) -> None:
    answer = page("POST", "/api/photographs?name=big.jpg", bytes(MAX_PICTURE_BYTES + 1))
    assert answer.status == 413
    assert answer.json["error"].startswith("The file 'big.jpg' has more than 20 MB")
    assert page("POST", "/api/generate", {"words": "a" * MAX_TEXT_BYTES}).status == 413


def test_a_fault_of_the_program_is_a_sentence_too(
    page: Page, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: Session, words: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Session, "generate", fail)
    answer = page("POST", "/api/generate", {"words": "ant, bee"})
    assert answer.status == 500
    assert answer.json["error"] == "No space left on device."
    assert "No space left" in capsys.readouterr().err


def test_each_page_has_its_own_session(page: Page) -> None:
    page("POST", "/api/photographs", picture(0))
    first = page.key
    page.key = page("POST", "/api/session").json["session"]
    assert page("POST", "/api/generate", {"words": "ant, bee"}).json["photographs"] == []
    page.key = first
    assert page("DELETE", "/api/session").status == 200
    answer = page("POST", "/api/generate", {"words": "ant, bee"})
    assert answer.status == 410
    assert "load the page again" in answer.json["error"]


def test_other_sites_are_refused(page: Page) -> None:
    for headers in (
        {"origin": "http://evil.example"},
        {"host": "evil.example:8462", "origin": "http://evil.example:8462"},
    ):
        answer = page("POST", "/api/generate", {"words": "ant, bee"}, **headers)
        assert answer.status == 403
        assert "open the address that 'tina ui' printed" in answer.json["error"]
        assert "content-security-policy" in answer.headers


def test_an_address_with_a_long_number(page: Page) -> None:
    answer = page("DELETE", f"/api/photographs/{'9' * 5000}")
    assert answer.status == 414
    assert "too long" in answer.json["error"]


def test_a_signal_during_a_request(tiny_generator: Generator, tmp_path: Path) -> None:
    """The server cancels a request that takes too long after a signal. The browser still gets a sentence."""
    store = SessionStore(lambda: Session(tiny_generator))
    application = make_application(store, {}, tmp_path)
    page = Page(application)
    sent: list[Any] = []

    async def cancelled() -> None:
        headers = {**page.headers, SESSION_HEADER.lower(): page.key}
        scope = {
            "type": "http", "method": "POST", "path": "/api/undo", "query_string": b"", "root_path": "",
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        task = asyncio.create_task(application(scope, receive, send))
        await asyncio.sleep(0.2)
        assert not sent
        task.cancel()
        await task

    with store.using(page.key):
        runner = threading.Thread(target=asyncio.run, args=(cancelled(),))
        runner.start()
        deadline = time.monotonic() + 20
        while not sent and time.monotonic() < deadline:
            time.sleep(0.05)
    runner.join()
    assert sent[0]["status"] == 503
    assert "is ending" in json.loads(sent[1]["body"])["error"]
