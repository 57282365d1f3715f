"""Measure how training reads a zoo of many p-Models: seconds and memory until the first step is drawn.

    python -m benchmarks.reproduce.large_zoo make work/large-zoo              # 100,000 made-up p-Models: 2.2 GB, a minute
    python -m benchmarks.reproduce.large_zoo measure work/large-zoo
    python -m benchmarks.reproduce.large_zoo measure work/large-zoo --code OTHER_CHECKOUT   # another version of the package

Memory held is what the kernel cannot drop: the anonymous pages of the process in /proc/self/smaps_rollup. What it keeps of
the files in its cache is no part of it. The largest resident memory (RSS) counts shared and cached pages, too.
Each measurement runs in a new process. With `--code`, the index is first written again by that version.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.script import REPOSITORY, run
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.entries import ZooEntry
from tina_framework.zoo.index import write_index
from tina_framework.zoo.manifest import FORMAT, GENERIC, VERSION, write_manifest
from tina_framework.zoo.shards import write_shard
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["main", "make", "measure"]

CLASSES = tuple(f"class {number:03d}" for number in range(100))


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["make", "measure"])
    parser.add_argument("folder", type=Path, help="the folder of the zoo, its data set and its text vectors")
    parser.add_argument("--models", type=int, default=100_000, help="how many p-Models (default: %(default)s)")
    parser.add_argument("--shard-size", type=int, default=64, help="p-Models a shard (default: %(default)s)")
    parser.add_argument("--code", type=Path, default=REPOSITORY, help="the checkout to measure (default: this one)")
    args = parser.parse_args(words)
    if args.action == "make":
        make(args.folder, args.models, args.shard_size)
    else:
        print(json.dumps(measure(args.folder, args.code), indent=2))


def make(folder: Path, models: int, shard_size: int) -> None:
    """Write a zoo of random p-Models with the package's own writers, a data set of its classes and their text vectors."""
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    config = ZooConfig(num_models=models, shard_size=shard_size, dataset="arrays:data.npz")
    zoo = folder / "zoo"
    shutil.rmtree(zoo, ignore_errors=True)
    zoo.mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(CLASSES)), 4)
    images = rng.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    np.savez(
        folder / "data.npz",
        class_names=np.array(CLASSES),
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )
    vectors = rng.normal(size=(1, len(CLASSES), 16)).astype(np.float32)
    np.savez(folder / "table.npz", names=np.array(CLASSES), vectors=vectors, templates=["{}"], space="made-up")
    draws = torch.Generator().manual_seed(0)
    generic = {p.name: 0.1 * torch.randn(p.shape, generator=draws) for p in spec.parameters(len(CLASSES))}
    write_safetensors(zoo / GENERIC, generic, digest=True)
    manifest = {"format": FORMAT, "version": VERSION, "config": config.to_json(), "class_names": list(CLASSES)}
    write_manifest(zoo, {**manifest, "figures": {}})
    tasks = TaskSampler(CLASSES, class_counts=config.class_counts).tasks(models)
    for shard in range(config.num_shards):
        ids = config.shard_ids(shard)
        flats = 0.1 * torch.randn(len(ids), spec.num_parameters(10), generator=draws)
        entries = [ZooEntry(i, tasks[i].classes, config.model_seed(i), i % 97 / 97, i % 89 / 89) for i in ids]
        write_shard(zoo, shard, list(zip(entries, flats, strict=True)))
    write_index(zoo, config)


def measure(folder: Path, code: Path) -> dict[str, float]:
    """Return the figures of one process that opens the zoo and draws the first step, with the package of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(code.resolve())}
    for program in (_INDEX, _PROGRAM):
        if program is _INDEX and code.resolve() == REPOSITORY and _index_version(folder) == 2:
            continue
        words = [sys.executable, "-c", program, str(folder.resolve())]
        done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"The measurement failed: {done.stderr.strip().splitlines()[-1]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _index_version(folder: Path) -> int:
    with (folder / "zoo" / "index.json").open("rb") as file:
        return 2 if b'"version": 2' in file.read(200) else 1


# Both programs also run with older versions of the package.
_INDEX = """
import sys
from pathlib import Path
try:
    from tina_framework.zoo.index import write_index
    from tina_framework.zoo.manifest import read_manifest
except ImportError:
    from tina_framework.zoo.store import read_manifest, write_index
zoo = Path(sys.argv[1]) / "zoo"
write_index(zoo, read_manifest(zoo).config)
"""

_PROGRAM = """
import inspect, json, re, sys, time
from pathlib import Path
import torch
from tina_framework.config.training import load_training_config
from tina_framework.training.components import build_components
from tina_framework.zoo.store import Zoo

def memory():
    text = Path("/proc/self/smaps_rollup").read_text()
    names = ("Anonymous", "Private_Dirty", "Rss")
    return {name: int(re.search(rf"^{name}:\\\\s+(\\\\d+)", text, re.M)[1]) / 1024 for name in names}

folder = Path(sys.argv[1])
config = load_training_config({
    "output_dir": str(folder / "run"), "dataset": f"arrays:{folder / 'data.npz'}", "zoo": str(folder / "zoo"),
    "encoders": f"embedding-table:{folder / 'table.npz'}", "preset": "tiny", "task_weight": "0",
    "denoise_batch_size": "64", "class_counts": "10", "max_classes": "10",
})
torch.randn(1000, 1000) @ torch.randn(1000, 1000)  # so that the libraries' own memory is there already
before = memory()
start = time.perf_counter()
zoo = Zoo.open(folder / "zoo")
opened = time.perf_counter() - start
del zoo
start, busy = time.perf_counter(), time.process_time()
components = build_components(config, torch.device("cpu"))
[objective] = components.objectives
arguments = [0, range(64), components.denoiser]
objective.draw(*arguments[: len(inspect.signature(objective.draw).parameters)])
drawn, busy = time.perf_counter() - start, time.process_time() - busy
after = memory()
peak = int(re.search(r"VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({
    "seconds of Zoo.open": round(opened, 2),
    "seconds from Zoo.open to the first step drawn": round(drawn, 2), "processor seconds of it": round(busy, 2),
    "MiB held (anonymous) before": round(before["Anonymous"]), "MiB held (anonymous) after": round(after["Anonymous"]),
    "MiB private and dirty after": round(after["Private_Dirty"]),
    "MiB resident after": round(after["Rss"]), "MiB resident at most": round(peak),
}))
""".replace("\\\\", "\\")


if __name__ == "__main__":
    run(main)
