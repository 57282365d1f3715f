"""`tina zoo build` under `accelerate launch`: processes share the work, and the zoo is the one a single process builds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RECIPE = """
num_models = 7
shard_size = 2
class_counts = { 3 = 1, 4 = 1 }
[generic]
epochs = 1
batch_size = 32
lr = 0.05
precision = "fp32"
[model]
epochs = 1
batch_size = 16
lr = 0.05
precision = "fp32"
"""

# Notes which process stores which model; given with --plugin, so that it runs inside the launched processes.
WITNESS = """
import os
from pathlib import Path

from tina_framework.zoo import shard_builder

store = shard_builder.write_model
notes = Path(__file__).parent / f"process-{os.environ.get('RANK', 'alone')}.txt"


def write_model(folder, entry, flat_N):
    store(folder, entry, flat_N)
    with notes.open("a") as handle:
        handle.write(f"{entry.id}\\n")


shard_builder.write_model = write_model
notes.touch()
"""


def build(folder: Path, launcher: list[str]) -> dict[str, list[int]]:
    """Builds ``folder/zoo``; process -> ids of the models it stored."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "witness.py").write_text(WITNESS)
    command = [
        sys.executable,
        *launcher,
        "-m",
        "tina_framework.cli",
        "--plugin",
        str(folder / "witness.py"),
        "zoo",
        "build",
    ]
    command += ["--out", str(folder / "zoo"), "--dataset", "shapes:4", "--config", str(folder / "recipe.toml")]
    command += ["--workers", "1", "--device", "cpu"]
    # One thread everywhere: another number of threads rounds differently.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, list[int]] = defaultdict(list)
    for notes in folder.glob("process-*.txt"):
        found[notes.stem.removeprefix("process-")] += [int(line) for line in notes.read_text().split()]
    return dict(found)


def test_two_launched_processes_share_a_zoo(tmp_path: Path) -> None:
    import torch

    from tina_framework.zoo.store import Zoo

    # --multi_gpu is Accelerate's word for "several processes on this machine": without a GPU they run on the CPU. With
    # --cpu it would start a single process, whatever --num_processes says.
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    shared = build(tmp_path / "two", launcher)
    assert shared.keys() == {"0", "1"}
    assert sorted(shared["0"]) == [0, 1, 4, 5]  # shards 0 and 2 of four
    assert sorted(shared["1"]) == [2, 3, 6]
    alone = build(tmp_path / "one", [])
    assert alone == {"alone": list(range(7))}

    two, one = Zoo.open(tmp_path / "two" / "zoo"), Zoo.open(tmp_path / "one" / "zoo")
    assert [entry.id for entry in two.entries] == list(range(7))
    assert two.entries == one.entries
    assert two.config == one.config
    assert all(torch.equal(two.generic[name], one.generic[name]) for name in one.generic)
    assert all(torch.equal(two.flat(entry.id), one.flat(entry.id)) for entry in one.entries)
    names = {path.name for path in (tmp_path / "two" / "zoo").iterdir()}
    assert names - {".lock-1"} == {".lock", "zoo.json", "generic.safetensors", "index.json", "shards"}
