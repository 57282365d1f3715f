"""Worker processes: their deaths and errors are sentences, and they end with the builder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest

from tina_framework.errors import TrainingError, UnknownNameError
from tina_framework.storage.shared_tensors import SharedTensors
from tina_framework.zoo import worker_pool
from tina_framework.zoo.build_process import Banks, ProcessSetup
from tina_framework.zoo.tasks import Task
from tina_framework.zoo.worker_pool import train_in_processes

QUEUE = [(i, 0, Task(("a", "b"))) for i in range(4)]
BANKS = Banks((), SharedTensors("", {}, 0))


def stub(monkeypatch, body):
    """Lets workers run `body`, which sees `connection`."""
    import multiprocessing

    real = multiprocessing.get_context("fork")

    def run(connection, setup, folder, config, banks):
        connection.send(("ready", None))
        body(connection)

    monkeypatch.setattr(worker_pool.build_process, "run", run)
    monkeypatch.setattr(worker_pool.multiprocessing, "get_context", lambda name: real)


def serve(connection):
    try:
        while True:
            connection.send(("done", connection.recv()[0]))
    except EOFError:
        pass


def test_all_models_are_trained_once(monkeypatch, tmp_path, config):
    stub(monkeypatch, serve)
    setup = ProcessSetup("cnn-2layer")
    assert sorted(train_in_processes(setup, tmp_path, config, BANKS, QUEUE, 3)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"was killed by SIGKILL while it trained p-Model 0, probably"),
        (lambda: os._exit(3), r"ended with exit code 3 while it trained p-Model 0"),
    ],
    ids=["killed", "exit"],
)
def test_a_dead_worker_is_named(monkeypatch, tmp_path, config, end, words):
    def die(connection):
        connection.recv()
        end()

    stub(monkeypatch, die)
    with pytest.raises(TrainingError, match=words) as caught:
        list(train_in_processes(ProcessSetup("cnn-2layer"), tmp_path, config, BANKS, QUEUE[:1], 2))
    assert "Everything finished is kept" in str(caught.value)


def test_closing_ends_busy_workers_at_once(monkeypatch, tmp_path, config):
    def one_then_busy(connection):
        connection.send(("done", connection.recv()[0]))
        time.sleep(600)

    stub(monkeypatch, one_then_busy)
    begin = time.monotonic()
    with closing(train_in_processes(ProcessSetup("cnn-2layer"), tmp_path, config, BANKS, QUEUE, 2)) as trained:
        next(trained)
    assert time.monotonic() - begin < 5


@pytest.mark.slow
def test_an_error_at_the_start_is_raised_as_it_is(tmp_path, config):
    with pytest.raises(UnknownNameError, match="no-such-network"):
        list(train_in_processes(ProcessSetup("no-such-network"), tmp_path, config, BANKS, QUEUE, 2))


BUILD = """
import sys
from pathlib import Path
from tina_framework.cli.__main__ import main
if __name__ == "__main__":
    main(["zoo", "build", "--out", sys.argv[1], "--dataset", "shapes:8", "--config", sys.argv[2], "--workers", "2"])
"""
RECIPE = """
num_models = 6
shard_size = 2
class_counts = { 3 = 1 }
[generic]
epochs = 1
[model]
epochs = 1
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / "build.py").write_text(BUILD)
    (tmp_path / "zoo.toml").write_text(RECIPE)

    def start(recipe=RECIPE, out="zoo"):
        (tmp_path / "zoo.toml").write_text(recipe)
        words = [sys.executable, tmp_path / "build.py", tmp_path / out, tmp_path / "zoo.toml"]
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    return start


def group(process):
    """Process ids of a process and its children."""
    listed = subprocess.run(["ps", "-eo", "pid=,sid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, session, state in rows if int(session) == process.pid and not state.startswith("Z")]


def wait_until(check, seconds=60.0):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


ENDLESS = RECIPE.replace("[model]\nepochs = 1", "[model]\nepochs = 100000")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="lists processes with ps")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_no_worker_outlives_the_builder(command, tmp_path, number):
    process = command(ENDLESS)
    wait_until(lambda: len(group(process)) >= 3 and (tmp_path / "zoo" / "zoo.json").exists())
    time.sleep(6)  # until the workers train
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=10)
    wait_until(lambda: not group(process), 3)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        last = err.strip().splitlines()[-1]
        assert last.startswith(f"Stopped by {number.name}. Everything finished is kept. To continue, run: ")
        assert " zoo build " in last
        assert "Traceback" not in err
        assert not list((tmp_path / "zoo").rglob("*.partial"))
    assert out == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="compares with a build of one process")
def test_a_killed_build_ends_with_equal_files(command, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    process = command(RECIPE)
    models = tmp_path / "zoo" / "models"
    wait_until(lambda: models.exists() and any(path.name[0] != "." for path in models.iterdir()))
    process.kill()
    process.communicate(timeout=10)
    process = command(RECIPE)
    assert process.communicate(timeout=120)[1] == ""
    (tmp_path / "build.py").write_text(BUILD.replace('"2"', '"1"'))
    process = subprocess.run(
        [sys.executable, tmp_path / "build.py", tmp_path / "one", tmp_path / "zoo.toml"],
        check=True,
        capture_output=True,
    )

    def contents(folder):
        files = (path for path in folder.rglob("*") if path.name != ".lock")
        return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in files}

    assert contents(tmp_path / "zoo") == contents(tmp_path / "one")


def test_workers_find_settings_of_numpy(config):
    import numpy as np

    assert type(replace(config, seed=np.int64(3)).seed) is int
