"""The web application: it answers the requests of the page. Every answer is a file of the page, JSON, or a download."""

from __future__ import annotations

import asyncio
import mimetypes
import shutil
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tina_framework.errors import ConfigError, DataError, TinaError, explain
from tina_framework.terminal.console import print_error
from tina_framework.ui.guard import HEADERS, allowed_names, refusal
from tina_framework.ui.limits import (
    MAX_PICTURE_BYTES,
    MAX_TEXT_BYTES,
    UploadTooLargeError,
    limits,
    picture_too_large,
)
from tina_framework.ui.session import Sample, Session
from tina_framework.ui.store import SessionLostError, SessionStore

__all__ = ["SESSION_HEADER", "make_application"]

SESSION_HEADER = "X-Tina-Session"
"""Names the session. Other sites cannot send this header without asking, and they are never allowed to."""

_FILES = {"/": "index.html", "/page.js": "page.js", "/style.css": "style.css", "/icon.svg": "icon.svg"}
"""Path -> file of the page. Nothing else is served, so that no path of a request ever names a file."""

_LONGEST_NAME = 100
_LONGEST_PATH = 500
"""Of a request. Starlette fails at numbers of thousands of digits."""

Endpoint = Callable[[Request], Awaitable[Response]]


def make_application(store: SessionStore, about: dict[str, Any], folder: Path, host: str = "127.0.0.1") -> Starlette:
    """Return the application.

    Args:
        store: the sessions of open pages. The caller closes it at the end.
        about: JSON values that the page shows, such as the generator's name.
        folder: for downloads while they are sent. The caller removes it after the store was closed.
        host: the address on which the server listens.
    """
    return _Application(store, about, folder).starlette(host)


class _Application:
    def __init__(self, store: SessionStore, about: dict[str, Any], folder: Path) -> None:
        self._store, self._about, self._folder = store, about, folder
        # Sample pictures may be fetched by their place in this list only.
        self._samples: list[Sample] = []

    def starlette(self, host: str) -> Starlette:
        post, delete = ["POST"], ["DELETE"]
        routes = [Route(path, self._file) for path in _FILES]
        routes += [
            Route("/samples/{index:int}", self._sample),
            Route("/api/session", self._api(self._new_session), methods=post),
            Route("/api/session", self._api(self._end_session), methods=delete),
            Route("/api/generate", self._api(self._generate), methods=post),
            Route("/api/photographs", self._api(self._add_photograph), methods=post),
            Route("/api/photographs", self._api(self._remove_photographs), methods=delete),
            Route("/api/photographs/{number:int}", self._api(self._remove_photographs), methods=delete),
            Route("/api/photographs/{number:int}/teach", self._api(self._teach), methods=post),
            Route("/api/samples", self._api(self._add_samples), methods=post),
            Route("/api/examples/{label:int}", self._api(self._add_example), methods=post),
            Route("/api/examples/{label:int}", self._api(self._remove_examples), methods=delete),
            Route("/api/fine-tune", self._api(self._fine_tune), methods=post),
            Route("/api/undo", self._api(self._undo), methods=post),
            Route("/api/formats", self._api(self._formats), methods=post),
            Route("/api/download", self._api(self._download), methods=post),
        ]
        application = Starlette(routes=routes)
        application.add_middleware(_Guard, names=allowed_names(host))
        return application

    def _api(self, endpoint: Endpoint) -> Endpoint:
        """Turn whatever an endpoint raises into a sentence."""

        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ClientDisconnect:  # the person left the page, so that nobody reads the answer
                return Response(status_code=400)
            except asyncio.CancelledError:  # by a signal: the server waits no longer for this answer
                return _sentence("'tina ui' is ending; start it again.", 503)
            except UploadTooLargeError as error:
                return _sentence(str(error), 413)
            except SessionLostError as error:
                return _sentence(str(error), 410)
            except TinaError as error:
                return _sentence(str(error), 400)
            except Exception as error:  # a fault of this program, or a full disk: the page stays usable
                said, _ = explain(error)
                print_error(said)
                return _sentence(said.removeprefix("Error: "), 500)

        return answer

    async def _file(self, request: Request) -> Response:
        name = _FILES[request.url.path]
        data = (resources.files("tina_framework.ui") / "page" / name).read_bytes()
        kind = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        return Response(data, media_type=kind[name.rpartition(".")[2]])

    async def _sample(self, request: Request) -> Response:
        index = request.path_params["index"]
        if index >= len(self._samples):
            return _sentence("There is no such sample picture.", 404)
        path = self._samples[index].path
        return FileResponse(path, media_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream")

    async def _new_session(self, request: Request) -> Response:
        key = await run_in_threadpool(self._store.new)
        return JSONResponse({"session": key, "limits": limits(), **self._about})

    async def _end_session(self, request: Request) -> Response:
        await run_in_threadpool(self._store.remove, request.headers.get(SESSION_HEADER, ""))
        return JSONResponse({})

    async def _generate(self, request: Request) -> Response:
        values = await _json(request)
        return await self._change(request, lambda session: session.generate(_text(values, "words")))

    async def _add_photograph(self, request: Request) -> Response:
        name = _file_name(request)
        data = await _body(request, name)
        return await self._change(request, lambda session: session.add_photograph(name, data))

    async def _remove_photographs(self, request: Request) -> Response:
        number = request.path_params.get("number")
        return await self._change(request, lambda session: session.remove_photographs(number))

    async def _teach(self, request: Request) -> Response:
        values = await _json(request)
        label = values.get("label")
        if label is not None and (isinstance(label, bool) or not isinstance(label, int)):
            raise ConfigError("A request of the page names no class; load the page again.")
        return await self._change(request, lambda session: session.teach(request.path_params["number"], label))

    async def _add_samples(self, request: Request) -> Response:
        def work(session: Session) -> dict[str, Any]:
            before = {row["id"] for row in session.to_json()["photographs"]}
            found = session.add_samples()
            state = session.to_json()
            numbers = [row["id"] for row in state["photographs"] if row["id"] not in before]
            for sample in found:
                if sample not in self._samples:
                    self._samples.append(sample)
            pictures = {number: self._samples.index(sample) for number, sample in zip(numbers, found, strict=True)}
            return {**state, "samples": pictures}

        return JSONResponse(await self._in_session(request, work))

    async def _add_example(self, request: Request) -> Response:
        name = _file_name(request)
        data = await _body(request, name)
        return await self._change(
            request, lambda session: session.add_example(request.path_params["label"], name, data)
        )

    async def _remove_examples(self, request: Request) -> Response:
        return await self._change(request, lambda session: session.remove_examples(request.path_params["label"]))

    async def _fine_tune(self, request: Request) -> Response:
        return await self._change(request, lambda session: session.fine_tune())

    async def _undo(self, request: Request) -> Response:
        return await self._change(request, lambda session: session.undo())

    async def _formats(self, request: Request) -> Response:
        return JSONResponse({"formats": await self._in_session(request, lambda session: session.formats())})

    async def _download(self, request: Request) -> Response:
        values = await _json(request)
        name, int8 = _text(values, "format"), values.get("int8") is True
        made = await self._in_session(request, lambda session: session.download(name, self._folder, int8=int8))
        remove = BackgroundTask(shutil.rmtree, made.path.parent, ignore_errors=True)
        headers = {"X-Tina-Note": made.note}
        return FileResponse(
            made.path, filename=made.name, media_type="application/octet-stream", headers=headers, background=remove
        )

    async def _change(self, request: Request, work: Callable[[Session], None]) -> Response:
        """Do something in the session, and answer with its new state."""

        def changed(session: Session) -> dict[str, Any]:
            work(session)
            return session.to_json()

        return JSONResponse(await self._in_session(request, changed))

    async def _in_session(self, request: Request, work: Callable[[Session], Any]) -> Any:
        key = request.headers.get(SESSION_HEADER, "")

        def locked() -> Any:
            with self._store.using(key) as session:
                return work(session)

        return await run_in_threadpool(locked)


class _Guard:
    """Refuse requests of other sites, and add the headers to every response."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        headers = Headers(scope=scope)
        reason = refusal(headers.get("host"), headers.get("origin"), self._names)
        answer: ASGIApp = self._app if reason is None else _sentence(reason, 403)
        if reason is None and len(scope["path"]) > _LONGEST_PATH:
            answer = _sentence("The address of a request is too long; load the page again.", 414)
        await answer(scope, receive, send_with_headers)


def _sentence(text: str, status: int) -> JSONResponse:
    return JSONResponse({"error": text}, status_code=status)


def _file_name(request: Request) -> str:
    """Return the name of the uploaded file, which is only shown. It is cut, and never used as a path."""
    name = request.query_params.get("name", "").strip() or "picture"
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."


async def _body(request: Request, name: str | None = None) -> bytes:
    """Return the body of a request, kept in memory. Reading ends at the limit, whatever the request says of its length.

    Args:
        request: the request.
        name: of the picture file that it holds; None: it holds JSON.
    """
    most = MAX_TEXT_BYTES if name is None else MAX_PICTURE_BYTES
    parts, total = [], 0
    async for part in request.stream():
        total += len(part)
        if total > most:
            raise UploadTooLargeError("That is too long; shorten it.") if name is None else picture_too_large(name)
        parts.append(part)
    return b"".join(parts)


async def _json(request: Request) -> dict[str, Any]:
    import json

    try:
        values = json.loads(await _body(request))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise DataError("A request of the page cannot be read; load the page again.")
    return values


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise DataError("A request of the page cannot be read; load the page again.")
    return value
