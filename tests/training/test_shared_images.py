"""One copy of the training images for the processes of a machine, with two real processes over gloo."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tina_framework.errors import DataError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.training.data import TrainingImages
from tina_framework.training.shared_images import shared_images


def load(folder: Path) -> TrainingImages:
    dataset = registries().datasets.create(f"arrays:{folder / 'data.npz'}")
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    return TrainingImages(dataset, "train", spec, dtype=torch.bfloat16)


def fail() -> TrainingImages:
    raise DataError("There is no picture.")


def anonymous() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    found = re.search(r"^Anonymous: +([0-9]+)", text, re.M)
    assert found is not None
    return int(found[1]) * 1024


def described(images: TrainingImages) -> list[Any]:
    drawn = images.draw(images.class_names[:3], 30, torch.Generator().manual_seed(5))
    taken = images.take(*drawn[:2])
    values = [tensor.to(torch.float64).sum().item() for tensor in (*drawn, taken, images.images)]
    return [*values, str(taken.dtype), list(images.images.shape), images.fingerprint, list(images.class_names)]


def member(rank: int, port: int, folder: Path, temporary: Path, results: Any) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(port)
    tempfile.tempdir = str(temporary)
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    said: dict[str, Any] = {}
    calls = []

    def counted() -> TrainingImages:
        calls.append(1)
        return load(folder)

    with shared_images(accelerator, counted) as images:
        pass
    assert images is not None
    said["images"], said["calls"] = described(images), len(calls)
    big = 256 * 2**20

    def made() -> TrainingImages:
        contents = {"both": torch.ones(big // 2, dtype=torch.bfloat16), "labels": torch.zeros(big // 4)}
        return TrainingImages.from_contents(("a",), contents, "f")

    if Path("/proc/self/smaps_rollup").exists():
        before = anonymous()
        with shared_images(accelerator, made) as images:
            assert images is not None
            assert float(images._both.view(torch.int16).sum(dtype=torch.int64)) > 0  # every page is read
            said["held"] = anonymous() - before
    try:
        with shared_images(accelerator, fail):
            pass
    except Exception as error:
        said["error"] = f"{type(error).__name__}: {error}"
    with shared_images(accelerator, fail, needed=False) as nothing:
        said["not needed"] = nothing
    accelerator.wait_for_everyone()
    said["left"] = [path.name for path in temporary.iterdir()]
    accelerator.wait_for_everyone()
    results.put((rank, json.dumps(said)))
    torch.distributed.destroy_process_group()


def test_two_processes_map_the_images_of_one(world: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    members = [
        context.Process(target=member, args=(rank, port, world, tmp_path, results), daemon=True) for rank in range(2)
    ]
    for process in members:
        process.start()
    told = {rank: json.loads(text) for rank, text in (results.get(timeout=120) for _ in members)}
    for process in members:
        process.join(60)
    alone = described(load(world))
    for rank in range(2):
        said = told[rank]
        assert said["images"] == alone
        assert said["calls"] == (1 if rank == 0 else 0)
        assert said.get("held", 0) < 64 * 2**20
        assert "There is no picture." in said["error"]
        assert said["not needed"] is None
        assert said["left"] == []


@pytest.mark.parametrize("changes", [{"num_processes": 1}, {"device": torch.device("meta")}])
def test_a_single_process_and_a_gpu_load_their_own(changes: dict[str, Any]) -> None:
    accelerator = SimpleNamespace(**{"num_processes": 2, "device": torch.device("cpu"), **changes})
    with shared_images(accelerator, fail) as images:
        assert images is None
