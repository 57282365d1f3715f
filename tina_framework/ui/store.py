"""The sessions of all open pages. Each page has a session of its own, which it names by a random key."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tina_framework.errors import DataError
from tina_framework.ui.session import Session

__all__ = ["MAX_SESSIONS", "SessionLostError", "SessionStore"]

MAX_SESSIONS = 8
"""Pages that may be open at a time. One more takes the place of the page that was used least recently."""


class SessionLostError(DataError):
    """A page names a session that is no longer there."""


class SessionStore:
    """All sessions.

    Args:
        make: makes a new session.
    """

    def __init__(self, make: Callable[[], Session]) -> None:
        self._make = make
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        # One computation at a time: they all use the same generator, and share the cores anyway.
        self._lock = threading.Lock()
        self._closed = False

    def new(self) -> str:
        """Make a session and return its key.

        Raises:
            SessionLostError: the store was closed.
        """
        key = secrets.token_urlsafe(16)
        with self._lock:
            if self._closed:
                raise SessionLostError("'tina ui' is ending; start it again.")
            while len(self._sessions) >= MAX_SESSIONS:
                self._sessions.popitem(last=False)
            self._sessions[key] = self._make()
        return key

    def remove(self, key: str) -> None:
        """Forget a session, if it is there, with all its pictures."""
        with self._lock:
            self._sessions.pop(key, None)

    def close(self) -> None:
        """Wait until the work in progress is done, and refuse any more. Then no thread writes files any longer."""
        with self._lock:
            self._sessions.clear()
            self._closed = True

    @contextmanager
    def using(self, key: str) -> Iterator[Session]:
        """Yield a session, and let nobody else use any session meanwhile.

        Raises:
            SessionLostError: there is no such session.
        """
        with self._lock:
            if key not in self._sessions:
                raise SessionLostError(
                    "This page was open for too long, or 'tina ui' was restarted; load the page again."
                )
            self._sessions.move_to_end(key)
            yield self._sessions[key]
