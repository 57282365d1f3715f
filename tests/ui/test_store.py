from __future__ import annotations

import threading

import pytest

from tina_framework.generator.generator import Generator
from tina_framework.ui.session import Session
from tina_framework.ui.store import MAX_SESSIONS, SessionLostError, SessionStore


def test_each_key_has_its_own_session(tiny_generator: Generator) -> None:
    store = SessionStore(lambda: Session(tiny_generator))
    first, second = store.new(), store.new()
    with store.using(first) as session:
        session.words = "a"
    with store.using(second) as session:
        assert session.words == ""


def test_the_session_used_least_recently_makes_room(tiny_generator: Generator) -> None:
    store = SessionStore(lambda: Session(tiny_generator))
    keys = [store.new() for _ in range(MAX_SESSIONS)]
    with store.using(keys[0]):
        pass
    store.new()
    with store.using(keys[0]):
        pass
    with pytest.raises(SessionLostError, match="load the page again"), store.using(keys[1]):
        pass


def test_a_removed_session_is_gone(tiny_generator: Generator) -> None:
    store = SessionStore(lambda: Session(tiny_generator))
    key = store.new()
    store.remove(key)
    store.remove(key)
    with pytest.raises(SessionLostError), store.using(key):
        pass


def test_closing_waits_for_the_work_in_progress(tiny_generator: Generator) -> None:
    store = SessionStore(lambda: Session(tiny_generator))
    key, started, go_on, done = store.new(), threading.Event(), threading.Event(), []

    def work() -> None:
        with store.using(key):
            started.set()
            go_on.wait()
            done.append("work")

    def close() -> None:
        store.close()
        done.append("closed")

    threads = [threading.Thread(target=each) for each in (work, close)]
    threads[0].start()
    started.wait()
    threads[1].start()
    assert done == []
    go_on.set()
    for thread in threads:
        thread.join()
    assert done == ["work", "closed"]
    with pytest.raises(SessionLostError), store.using(key):
        pass
    with pytest.raises(SessionLostError, match="start it again"):
        store.new()
