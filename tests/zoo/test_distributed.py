"""`tina zoo build` under `accelerate launch`: processes share the work, and the zoo is the one a single process builds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
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


# Processes that are started by hand, one of which never comes, is killed or is stopped.

LONG_GENERIC = RECIPE.replace("[generic]\nepochs = 1", "[generic]\nepochs = 100000")


def start(folder: Path, rank: int, seconds: float, recipe: str = RECIPE) -> subprocess.Popen[str]:
    (folder / "recipe.toml").write_text(recipe)
    words = ["--out", folder / "zoo", "--dataset", "shapes:4", "--config", folder / "recipe.toml", "--workers", "1"]
    words += ["--device", "cpu", "--partner-timeout", seconds]
    return subprocess.Popen(
        [sys.executable, "-m", "tina_framework.cli", "zoo", "build", *(str(word) for word in words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), "WORLD_SIZE": "2"},
    )


def wait_for(path: Path, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


def test_a_partner_that_never_comes_is_announced_and_then_named(tmp_path: Path) -> None:
    process = start(tmp_path, 0, 14)
    _, errors = process.communicate(timeout=300)
    notice, error = errors.splitlines()[-2:]
    who = r"(RANK=1 of 2 processes)"
    assert notice == f"Waiting for shard 1 of process 1 {who}, up to 14 s without a sign of work."
    assert error.startswith(f"Error: Process 1 {who} showed no sign of work for 14 s, and shard 1 is missing (")
    assert process.returncode == 1
    assert {path.name for path in (tmp_path / "zoo" / "shards").iterdir()} == {
        "shard-00000.safetensors",
        "shard-00002.safetensors",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell whether a lock is held")
def test_a_killed_first_process_ends_the_others(tmp_path: Path) -> None:
    first, second = (start(tmp_path, rank, 600, LONG_GENERIC) for rank in range(2))
    try:
        wait_for(tmp_path / "zoo" / ".lock-1")
        first.kill()
        begin = time.monotonic()
        _, errors = second.communicate(timeout=300)
        assert time.monotonic() - begin < 60, "far below the time limit"
        assert "Process 0 (RANK=0 of 2 processes) has ended and left the generic model unfinished (" in errors
        assert "Traceback" not in errors
        assert second.returncode == 1
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_a_stopped_process_is_named_after_the_time_limit(tmp_path: Path) -> None:
    second = start(tmp_path, 1, 600)
    first = start(tmp_path, 0, 14)
    try:
        wait_for(tmp_path / "zoo" / ".lock-1")
        second.send_signal(signal.SIGSTOP)
        _, errors = first.communicate(timeout=300)
        assert re.search(r"Process 1 \(RANK=1 of 2 processes\) showed no sign of work for 14 s, and shard [13]", errors)
        assert first.returncode == 1
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
