"""Processes that wait for each other, with a sentence and a time limit."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.runs import words
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.training import processes
from tina_framework.training.processes import connected

ALONE = SimpleNamespace(num_processes=1, is_main_process=True, process_index=0)
OTHER = SimpleNamespace(num_processes=2, is_main_process=False, process_index=1)


def test_a_lost_process_is_one_sentence() -> None:
    lost = RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:123")
    with pytest.raises(TrainingError, match="Process 1 of 2 lost the connection to another process"), connected(OTHER):
        raise lost
    for accelerator, error in ((ALONE, lost), (OTHER, RuntimeError("shapes differ"))):
        with pytest.raises(RuntimeError, match=str(error)[:6].replace("[", r"\[")), connected(accelerator):
            raise error


def test_a_time_limit_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("soon", "-1", "nan", "inf"):
        monkeypatch.setenv("TINA_PROCESS_TIMEOUT", text)
        with pytest.raises(ConfigError, match=f"TINA_PROCESS_TIMEOUT is '{text}'; give a number of seconds"):
            processes._wait_seconds()


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_never_comes(settings: dict[str, Any], rank: str) -> None:
    import os

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    done = subprocess.run(
        [sys.executable, "-m", "tina_framework.training", *words(settings)],
        env={**os.environ, **group, "TINA_PROCESS_TIMEOUT": "7", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"this is process {rank} of 2) did not answer at 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
