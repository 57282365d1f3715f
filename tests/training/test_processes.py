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


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"WORLD_SIZE": "abc"}, "RANK='0' and WORLD_SIZE='abc' do not name"),
        ({"RANK": "five"}, "RANK='five' and WORLD_SIZE='2' do not name"),
        ({"RANK": "2"}, "RANK='2' and WORLD_SIZE='2' do not name one of several processes"),
        ({"MASTER_ADDR": ""}, "asks for several processes, but the variable MASTER_ADDR is ''"),
        ({"MASTER_PORT": "abc"}, "the variable MASTER_PORT is 'abc'"),
        ({"MASTER_PORT": "0"}, "the variable MASTER_PORT is '0'"),
        ({"MASTER_PORT": "65536"}, "the variable MASTER_PORT is '65536'"),
        ({"LOCAL_RANK": "x"}, "the variable LOCAL_RANK is 'x'"),
    ],
)
def test_the_variables_of_a_launch_must_fit_together(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    good = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in (good | variables).items():
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
    assert "frame #" not in done.stderr  # torch's own trace


def test_wrong_settings_of_one_process_end_the_others_at_once(settings: dict[str, Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tina_framework.training",
                *words(settings, process_timeout=90, mixed_precision=precision),
            ],
            env={**os.environ, **group, "RANK": rank, "LOCAL_RANK": rank, "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, precision in (("0", "no"), ("1", "fp16"))
    ]
    main, other = (process.communicate(timeout=150)[1] for process in started)
    assert "Process 1 of 2 ended with an error at step 0; see its message." in main
    assert "mixed_precision is fp16, which needs a GPU" in other
    assert [process.returncode for process in started] == [1, 2]
