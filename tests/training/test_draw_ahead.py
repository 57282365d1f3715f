"""Draws of the next step are made in a thread, and are those that drawing on demand gives."""

import threading
import time

import pytest

from tina_framework.training.draw_ahead import DrawAhead


class Recorder:
    """Draws lists of a step and a part, and records when and where."""

    def __init__(self):
        self.calls = []

    def __call__(self, step, part):
        self.calls.append((step, part, threading.current_thread() is threading.main_thread()))
        return [(step, part)]


def test_all_parts_of_all_steps_are_drawn_once_and_in_order():
    draw = Recorder()
    ahead = DrawAhead(draw, parts=2, steps=3)
    keys = [(step, part) for step in range(3) for part in range(2)]
    assert [ahead.get(*key) for key in keys] == [[key] for key in keys]
    assert [call[:2] for call in draw.calls] == keys


def test_only_the_first_draw_waits():
    draw = Recorder()
    ahead = DrawAhead(draw, parts=1, steps=4)
    for step in range(4):
        ahead.get(step, 0)
    assert [main for _, _, main in draw.calls] == [True, False, False, False]


def test_the_next_draw_begins_before_it_is_asked_for():
    draw = Recorder()
    ahead = DrawAhead(draw, parts=1, steps=4)
    ahead.get(0, 0)
    end = time.monotonic() + 30
    while len(draw.calls) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert [call[:2] for call in draw.calls] == [(0, 0), (1, 0)]


def test_another_step_than_expected_is_drawn_on_demand():
    ahead = DrawAhead(Recorder(), parts=1, steps=10)
    ahead.get(0, 0)
    assert ahead.get(7, 0) == [(7, 0)]
    assert ahead.get(8, 0) == [(8, 0)]


def test_nothing_is_drawn_after_the_last_step():
    draw = Recorder()
    ahead = DrawAhead(draw, parts=1, steps=1)
    ahead.get(0, 0)
    assert ahead._thread is None
    assert [call[:2] for call in draw.calls] == [(0, 0)]


def test_an_error_comes_at_its_own_step():
    def draw(step, part):
        if step == 1:
            raise ValueError("damaged")
        return [step]

    ahead = DrawAhead(draw, parts=1, steps=3)
    assert ahead.get(0, 0) == [0]
    with pytest.raises(ValueError, match="damaged"):
        ahead.get(1, 0)


def test_a_closed_one_has_no_thread_and_may_go_on():
    draw = Recorder()
    ahead = DrawAhead(draw, parts=1, steps=10)
    ahead.get(0, 0)
    (thread,) = ahead._thread._threads
    ahead.close()
    assert not thread.is_alive()
    assert [ahead.get(step, 0) for step in (1, 2)] == [[(1, 0)], [(2, 0)]]
    ahead.close()
