"""Code of a plugin neither hangs nor ends the program, nor writes into its output. Each case runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError
from tina_framework.plugin.discovery import plugin_records, registries
from tina_framework.plugin.guard import PluginStopped, guarded, own_output, seconds_to_load

Install = Callable[..., str]
Result = subprocess.CompletedProcess[str]

GOOD = """
TINA_API = "2.0"
from tina_framework import hookimpl

@hookimpl
def tina_register(registry):
    registry.datasets.add("mine", "json:dumps")
"""
LISTING = ["-m", "tina_framework.cli", "list", "schedulers", "--json"]


def run(site: str, arguments: list[str] = LISTING, **variables: str) -> Result:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([site, os.environ.get("PYTHONPATH", "")]), **variables}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


ENDS = {
    "os._exit": ("import os\nos._exit(0)", "it calls os._exit, which would end the program"),
    "posix": ("from os import _exit as leave\nleave(0)", "it calls os._exit"),
    "behind except Exception": ("import os\ntry:\n    os._exit(0)\nexcept Exception:\n    pass", "it calls os._exit"),
    "os.execvp": ("import os\nos.execvp('true', ['true'])", "it calls os.execv"),
    "sys.exit": ("import sys\nsys.exit()", "it ends the program (SystemExit: without a code)"),
    "exit code 0": ("raise SystemExit(0)", "it ends the program (SystemExit: 0)"),
    "an error of its own": ("class Odd(BaseException): pass\nraise Odd('no')", "Odd: no"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit: no reason given"),
    "an error that cannot be printed": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd", "Odd: its message cannot be read",
    ),
    "escapes": ("raise ValueError('\\x1b[2Jgone\\x07')", r"ValueError: \x1b[2Jgone\x07"),
    "a long message": ("raise ValueError('x' * 10**6)", "ValueError: xxxxxxxxxx"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_a_plugin_that_ends_the_program_is_named_and_left_out(install: Install, case: str) -> None:
    code, sentence = ENDS[case]
    done = run(install("fake-ends", code))
    assert done.returncode == 0, done.stderr
    assert '"ddim"' in done.stdout
    assert "Plugin 'fake-ends' failed to load: " in done.stderr
    assert sentence in done.stderr
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 2000


LOOPS = {
    "a loop": "while True: pass",
    "waiting": "import time\ntime.sleep(1000)",
    "a regular expression": "import re\nre.match('(a+)+$', 'a' * 100 + 'b')",
    "a hook": GOOD + "    while True: pass\n",
    "input": "import os\nr, w = os.pipe()\nos.read(r, 1)",
}


@pytest.mark.parametrize("case", LOOPS)
def test_a_plugin_that_hangs_is_interrupted_and_left_out(install: Install, case: str) -> None:
    done = run(install("fake-hangs", LOOPS[case]), TINA_PLUGIN_TIMEOUT="0.5")
    assert done.returncode == 0, done.stderr
    assert '"ddim"' in done.stdout
    sentence = (
        "Plugin 'fake-hangs' failed to load: it is still loading after 0.5 s; set TINA_DISABLE_PLUGINS=fake-hangs to leave it "
        "out, or set TINA_PLUGIN_TIMEOUT=SECONDS to wait longer."
    )
    assert sentence in done.stderr
    assert run(install("fake-good", GOOD), TINA_DISABLE_PLUGINS="fake-hangs").returncode == 0


def test_a_plugin_that_cannot_be_interrupted_ends_the_program_with_a_sentence(install: Install) -> None:
    code = "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException: pass\n"
    site = install("fake-hangs", code)
    start = "import tina_framework.plugin.guard as g, runpy, sys; g._GRACE = 0.5; sys.argv = ['tina', 'list', 'schedulers']; "
    done = run(
        site, ["-c", start + "runpy.run_module('tina_framework.cli', run_name='__main__')"], TINA_PLUGIN_TIMEOUT="0.5"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "Error: Plugin 'fake-hangs' cannot be loaded: it is still loading after 0.5 s"
    )


def test_in_another_thread_the_program_ends_with_the_same_sentence(install: Install) -> None:
    code = "import threading; from tina_framework import registries; t = threading.Thread(target=registries); t.start(); t.join()"
    done = run(install("fake-hangs", "while True: pass"), ["-c", code], TINA_PLUGIN_TIMEOUT="0.5")
    assert done.returncode == 1
    assert "Error: Plugin 'fake-hangs' cannot be loaded: it is still loading after 0.5 s" in done.stderr


WRITES = {
    "print": "print('noise')",
    "the descriptor": "import os\nos.write(1, b'noise\\n')",
    "the first stdout": "import sys\nsys.__stdout__.write('noise')",
    "a child": "import subprocess\nsubprocess.run(['echo', 'noise'])",
    "C": "import ctypes\nctypes.CDLL(None).puts(b'noise')",
    "a hook": GOOD + "    import os\n    os.write(1, b'noise')\n",
    "a closed stdout": "import sys\nsys.stdout.close()",
    "a closed descriptor": "import os\nos.close(1)",
    "another stdout": "import sys, io\nsys.stdout = io.StringIO()",
}


@pytest.mark.parametrize("case", WRITES)
def test_what_a_plugin_writes_stays_off_the_output(install: Install, case: str) -> None:
    quiet = run(install("fake-quiet", GOOD))
    code = WRITES[case] if "tina_register" in WRITES[case] else WRITES[case] + GOOD
    done = run(install("fake-loud", code.replace('"mine"', '"other"')))
    assert done.returncode == 0, done.stderr
    assert done.stdout == quiet.stdout
    assert "failed to load" not in done.stderr


def test_a_program_without_an_output_can_load_plugins(install: Install) -> None:
    site = install("fake-good", GOOD)
    code = "import os; os.close(1); os.close(2); from tina_framework import registries; os._exit('mine' not in registries().datasets)"
    assert run(site, ["-c", code]).returncode == 0


def test_an_interruption_by_the_user_ends_the_program(install: Install) -> None:
    done = run(install("fake-interrupted", "raise KeyboardInterrupt"))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("fresh_discovery")
def test_a_command_waits_for_the_time_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINA_PLUGIN_TIMEOUT", raising=False)
    assert seconds_to_load() == 60
    monkeypatch.setenv("TINA_PLUGIN_TIMEOUT", "0")
    assert seconds_to_load() is None
    for wrong in ("soon", "-1", "nan", "inf"):
        monkeypatch.setenv("TINA_PLUGIN_TIMEOUT", wrong)
        with pytest.raises(
            ConfigError, match=r"TINA_PLUGIN_TIMEOUT is .*; it must be a number of seconds, 0 for no limit"
        ):
            registries()


def test_the_guard_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    import signal

    before = os._exit, os.execv, os.execve, signal.getsignal(signal.SIGALRM), threading.active_count()
    with guarded("Plugin 'x'", "leave it out", 30.0), pytest.raises(PluginStopped, match=r"calls os\._exit"):
        os._exit(0)
    os.write(1, b"after\n")
    assert (os._exit, os.execv, os.execve, signal.getsignal(signal.SIGALRM)) == before[:4]
    assert capfd.readouterr().out == "after\n"


def test_a_child_process_of_a_plugin_may_end() -> None:
    with guarded("Plugin 'x'", "leave it out"):
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_output_of_the_program_is_not_moved(capfd: pytest.CaptureFixture[str]) -> None:
    print("before", end="")
    with own_output():
        os.write(1, b"inside")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("before", "inside")


def test_a_generator_as_a_hook_is_refused(install: Install) -> None:
    install("fake-yields", GOOD + "    yield\n")
    install("fake-waits", GOOD.replace("def tina", "async def tina"))
    broken = {record.distribution: record.error for record in plugin_records() if record.status == "broken"}
    assert "tina_register returns a generator, so it did not run" in str(broken["fake-yields"])
    assert "tina_register returns a coroutine, so it did not run" in str(broken["fake-waits"])


def test_a_plugin_file_is_guarded_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("while True: pass")
    arguments = ["-m", "tina_framework.cli", "--plugin", str(tmp_path / "mine.py"), "list", "schedulers"]
    done = run("", arguments, TINA_PLUGIN_TIMEOUT="0.5")
    assert done.returncode == 1
    assert (
        "Error: Plugin 'mine.py' failed to load: it is still loading after 0.5 s; leave out its --plugin, or"
        in done.stderr
    )
