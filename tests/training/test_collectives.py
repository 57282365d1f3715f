"""What processes tell each other, with two real processes over gloo."""

from __future__ import annotations

import json
import multiprocessing
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tina_framework.errors import CheckpointError, TinaError
from tina_framework.training.collectives import check_alike, on_all, on_main, tensors_of_main

ALONE = SimpleNamespace(num_processes=1, is_main_process=True, process_index=0)


def fail(*_: Any) -> Any:
    raise CheckpointError("'model' is damaged. Use another one.")


def bug() -> Any:
    raise KeyError("spam")


def member(rank: int, port: int, results: Any) -> None:
    """Run every case in one process of two, and report what came out."""
    import os

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(port)
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    sent = {"a": torch.arange(6).view(2, 3), "b": torch.tensor(1.5, dtype=torch.bfloat16), "c": torch.zeros(0, 3)}
    cases: dict[str, Callable[[], Any]] = {
        "main": lambda: on_main(accelerator, lambda: {"x": [rank, 1.5, None]}),
        "main fails": lambda: on_main(accelerator, fail),
        "main has a bug": lambda: on_main(accelerator, bug),
        "all": lambda: on_all(accelerator, lambda: rank),
        "one fails": lambda: on_all(accelerator, fail if rank == 1 else lambda: 0),
        "tensors": lambda: [
            (name, str(t.dtype), t.tolist()) for name, t in tensors_of_main(accelerator, lambda: sent).items()
        ],
        "no tensors": lambda: tensors_of_main(accelerator, fail),
        "alike": lambda: check_alike(accelerator, {"seed": 1, "zoo": "abc"}),
        "not alike": lambda: check_alike(accelerator, {"seed": 1, "zoo": f"abc{rank}", "zzz": rank}),
    }
    said = {}
    for name, case in cases.items():
        try:
            said[name] = case()
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
    results.put((rank, json.dumps(said)))
    torch.distributed.destroy_process_group()


def test_two_processes() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    members = [context.Process(target=member, args=(rank, port, results)) for rank in range(2)]
    for process in members:
        process.start()
    told = {rank: json.loads(text) for rank, text in (results.get(timeout=120) for _ in members)}
    for process in members:
        process.join(60)
    damaged = "CheckpointError: 'model' is damaged. Use another one."
    for rank in range(2):
        said = told[rank]
        assert said["main"] == {"x": [0, 1.5, None]}
        assert said["main fails"] == said["no tensors"] == damaged
        assert said["all"] == rank
        assert said["tensors"] == [
            ["a", "torch.int64", [[0, 1, 2], [3, 4, 5]]],
            ["b", "torch.bfloat16", 1.5],
            ["c", "torch.float32", []],
        ]
        assert said["alike"] is None
        assert said["not alike"].startswith(
            "ConfigError: Process 1 of 2 has zoo='abc1', but process 0 has 'abc0'. Start all processes with the same"
        )
    assert told[0]["main has a bug"].startswith("KeyError")
    assert told[1]["main has a bug"].startswith("TrainingError: KeyError: 'spam'")
    assert told[0]["one fails"] == "CheckpointError: Process 1 of 2 failed. 'model' is damaged. Use another one."
    assert told[1]["one fails"] == damaged


def test_one_process_sends_nothing() -> None:
    tensors = {"a": torch.ones(2)}
    assert on_main(ALONE, lambda: 3) == on_all(ALONE, lambda: 3) == 3
    assert tensors_of_main(ALONE, lambda: tensors)["a"] is tensors["a"]
    check_alike(ALONE, {"seed": 1})
    for function in (on_main, on_all, tensors_of_main):
        with pytest.raises(TinaError, match="damaged"):
            function(ALONE, fail)
