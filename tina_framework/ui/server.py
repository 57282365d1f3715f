"""Serve the page: choose the port, keep the temporary folder, and run the web server until a signal ends it."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from tina_framework.errors import ConfigError
from tina_framework.storage.temporary import leftovers, remove, temporary_folder

__all__ = ["address", "is_loopback", "listen", "own_temporary_folder", "serve"]

_CONNECTIONS = 32
"""At a time. A browser opens six, so that uploads of more cannot fill the memory."""

_SECONDS_TO_END = 2
"""How long requests may go on after the signal."""


def listen(host: str, port: int | None, default_port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or an address of this machine.
        port: the port; None: `default_port`, or a free one if it is taken.
        default_port: see `port`.

    Raises:
        ConfigError: the port is taken, or the host is not one of this machine.
    """
    for number in [default_port, 0] if port is None else [port]:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"'{host}' is not an address of this machine ({error}); leave out --host.") from error
        try:
            if os.name != "nt":  # there, the option would let two programs share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(_CONNECTIONS)
        except OSError as error:
            listener.close()
            if port is None and number:
                continue
            reason = error.strerror or str(error)
            raise ConfigError(
                f"The page cannot be served on {host}, port {number} ({reason}); choose another --port or --host."
            ) from error
        return listener
    raise AssertionError("the system has a free port, or the last try raised")


def address(listener: socket.socket, host: str) -> str:
    """Return the address of the page for a browser on this machine."""
    port = listener.getsockname()[1]
    # Browsers cannot open the addresses that mean "all networks".
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only programs on this machine can reach the socket."""
    name = str(listener.getsockname()[0])
    return name == "::1" or name.startswith("127.")


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[Path]:
    """Yield a folder for all temporary files of this process, and remove it at the end.

    It is also the default of `tempfile` meanwhile, so that libraries write nothing elsewhere. Folders of killed processes are
    removed first.
    """
    place = Path(tempfile.gettempdir()) / "tina-ui"
    for left in leftovers(place):
        remove(left)
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    with temporary_folder(place) as folder:
        folder.chmod(0o700)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before
            if variable is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = variable


def serve(application: ASGIApp, listener: socket.socket, on_ready: Callable[[], None] = lambda: None) -> None:
    """Answer requests until SIGINT or SIGTERM. The signal is raised again at the end.

    Args:
        application: answers the requests.
        listener: from `listen`.
        on_ready: called in a thread when requests are accepted. The server ends after it.
    """
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # the application prints its own errors, in one sentence each
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    # Connections wait in the socket, so that a browser may be opened a moment too early.
    ready = threading.Thread(target=on_ready)
    ready.start()
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        ready.join()
