"""Processes that wait for each other, with a sentence and a time limit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.runs import Make, words
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.training.processes import connect, connected

ALONE = SimpleNamespace(num_processes=1, is_main_process=True, process_index=0)
OTHER = SimpleNamespace(num_processes=2, is_main_process=False, process_index=1)


def test_a_lost_process_is_one_sentence() -> None:
    lost = RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:123")
    with pytest.raises(TrainingError, match="Process 1 of 2 lost the connection to another process"), connected(OTHER):
        raise lost
    for accelerator, error in ((ALONE, lost), (OTHER, RuntimeError("shapes differ"))):
        with pytest.raises(RuntimeError, match=str(error)[:6].replace("[", r"\[")), connected(accelerator):
            raise error


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "ACCELERATE_USE_DEEPSPEED",
            "true",
            "launched with DeepSpeed, which does not work here. Use `accelerate launch --m",
        ),
        ("ACCELERATE_USE_MEGATRON_LM", "true", "launched with Megatron-LM, which does not work here. Use"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "true", "launched with a parallelism configuration, which does not work"),
        (
            "ACCELERATE_MIXED_PRECISION",
            "bf16",
            "asks for mixed precision 'bf16', but the setting mixed_precision is no",
        ),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "asks for '4' gradient accumulation steps. Use the setting"),
    ],
)
def test_what_a_launcher_may_not_ask_for(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=sentence):
        connect(make_config(), print)


def test_half_precision_needs_a_gpu(settings: dict[str, Any]) -> None:
    # In a process of its own: Accelerate keeps the precision of the first run of a process.
    done = subprocess.run(
        [sys.executable, "-m", "tina_framework.training", *words(settings, mixed_precision="fp16")],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "Error: mixed_precision is fp16, which needs a GPU. Use bf16 or no on a CPU.\n"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_never_comes(settings: dict[str, Any], rank: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    done = subprocess.run(
        [sys.executable, "-m", "tina_framework.training", *words(settings, process_timeout=7)],
        env={**os.environ, **group, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"this is process {rank} of 2) did not answer at 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
