"""The first signal stops cleanly, with a sentence; handlers are put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tina_framework.cli.interrupt import clean_stop
from tina_framework.errors import Stopped, explain


def interrupt(number):
    os.kill(os.getpid(), number)
    threading.Event().wait(5)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_a_sentence_and_an_exit_code(number, code):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, clean_stop(lambda: "Run it again."):
        interrupt(number)
    assert explain(caught.value) == (f"Stopped by {number.name}. Run it again.", code)
    assert signal.getsignal(number) is before


def test_other_threads_are_left_alone():
    found = []

    def work():
        with clean_stop(str):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_the_second_signal_ends_at_once():
    script = """
import os, signal, time
from tina_framework.cli.interrupt import clean_stop
with clean_stop(str):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=30, capture_output=True, check=False)
    assert done.returncode == -signal.SIGINT
