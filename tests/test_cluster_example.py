"""The examples for clusters: the SLURM script with a stand-in for sbatch, and the Ray script on a local Ray."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "cluster"
SHELL = shutil.which("bash")
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

# Runs each job at once, the tasks of an array one after the other, as SLURM does: with the script's copy and these variables.
# A task that is named in FAIL is killed in the middle. A job whose dependency failed does not start.
SBATCH = """#!{python}
import json, os, pathlib, shutil, subprocess, sys

here = pathlib.Path(__file__).parent
jobs = json.loads((here / "jobs.json").read_text()) if (here / "jobs.json").exists() else []
options = [word for word in sys.argv[1:] if word.startswith("--")][: [w.startswith("--") for w in sys.argv[1:]].index(False)]
script, *words = sys.argv[1 + len(options):]
given = dict(option[2:].split("=", 1) for option in options if "=" in option)
number = 100 + len(jobs)
exported = dict(pair.split("=", 1) for pair in given["export"].split(",") if "=" in pair)
assert given["export"].startswith("ALL,") and "--parsable" in options
needed = given.get("dependency", "").removeprefix("afterok:")
good = not needed or {{str(job["number"]): job["ok"] for job in jobs}}[needed]
assert needed or not jobs, "every job but the first waits for another one"
first, _, last = given.get("array", "").partition("-")
tasks = range(int(first), int(last or first) + 1) if first else [None]
copied = here / "slurm_script"
shutil.copyfile(script, copied)
codes = []
for task in tasks if good else []:
    environment = dict(os.environ, **exported, SLURM_JOB_ID=str(number), SLURM_CPUS_PER_TASK="1")
    if task is not None:
        environment["SLURM_ARRAY_TASK_ID"] = str(task)
    if f"{{exported['STAGE']}} {{task}}" == os.environ.get("FAIL"):
        environment["TINA_TEST_KILL"] = "1"
    codes.append(subprocess.run(["bash", str(copied), *words], env=environment, stdout=sys.stderr).returncode)
jobs.append({{"number": number, "stage": exported["STAGE"], "ok": good and not any(codes), "codes": codes}})
(here / "jobs.json").write_text(json.dumps(jobs))
print(f"{{number}};cluster")
"""

# With TINA_TEST_KILL, the process is killed after its first p-Model.
TINA = """#!{python}
import os, signal, sys

if os.environ.get("TINA_TEST_KILL"):
    from tina_framework.zoo import shard_builder

    store = shard_builder.write_model

    def write_model(*given):
        store(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    shard_builder.write_model = write_model
from tina_framework.cli.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


def environment(**changes: str) -> dict[str, str]:
    root = str(FOLDER.parent.parent)
    # The same number of threads everywhere: another one rounds differently.
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, **changes}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "zoo.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def expected(recipe: Path) -> dict[str, bytes]:
    """The files of a zoo that one call built."""
    words = ["zoo", "build", "--out", recipe.parent / "zoo", "--dataset", "shapes:4", "--config", recipe]
    command = [sys.executable, "-m", "tina_framework.cli", *words, "--workers", "1", "--device", "cpu"]
    subprocess.run([str(word) for word in command], check=True, capture_output=True, env=environment(), timeout=300)
    return contents(recipe.parent / "zoo")


def test_the_ray_script_is_short() -> None:
    assert len((FOLDER / "zoo_ray.py").read_text(encoding="utf-8").splitlines()) < 60


@pytest.fixture
def slurm(tmp_path: Path, recipe: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls the SLURM script as a user would."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("tina", TINA)):
        (tools / name).write_text(text.format(python=sys.executable))
        (tools / name).chmod(stat.S_IRWXU)

    def call(**changes: str) -> subprocess.CompletedProcess[str]:
        (tools / "jobs.json").unlink(missing_ok=True)
        words = [FOLDER / "zoo-array.sbatch", "--out", tmp_path / "zoo", "--dataset", "shapes:4", "--config", recipe]
        variables = environment(PATH=f"{tools}{os.pathsep}{os.environ['PATH']}", TASKS="3", **changes)
        for name in [name for name in variables if name.startswith("SLURM_") or name == "STAGE"]:
            if name not in changes:
                del variables[name]
        return subprocess.run(
            ["bash", *map(str, words), "--device", "cpu"],
            capture_output=True,
            text=True,
            env=variables,
            check=False,
            timeout=600,
        )

    return call


@pytest.mark.slow
@pytest.mark.skipif(SHELL is None or os.name == "nt", reason="needs bash")
def test_the_slurm_script_builds_a_zoo(
    slurm: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, expected: dict[str, bytes]
) -> None:
    # A task is killed in the middle of its shard: the job for the index does not start.
    done = slurm(FAIL="models 1")
    assert done.returncode == 0, done.stderr
    assert "Submitted the jobs 100 (generic model), 101 (array of 3 for the p-Models) and 102 (index)." in done.stdout
    jobs = json.loads((tmp_path / "bin" / "jobs.json").read_text())
    assert [(job["stage"], job["codes"]) for job in jobs] == [
        ("generic", [0]),
        ("models", [0, -signal.SIGKILL, 0]),
        ("index", []),
    ], done.stderr
    assert not (tmp_path / "zoo" / "index.json").exists()
    assert len(list((tmp_path / "zoo" / "models").glob("[0-9]*.safetensors"))) == 1

    # The failed task alone is repeated, as the README says; and then the index.
    for changes in ({"STAGE": "models", "SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_PER_TASK": "1"}, {"STAGE": "index"}):
        done = slurm(**changes)
        assert done.returncode == 0, done.stderr
    assert "holds 7 p-Models" in done.stdout
    assert contents(tmp_path / "zoo") == expected


def processes() -> dict[int, tuple[int, str]]:
    """Process id -> id of its parent, and its command."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            found[int(entry.name)] = int(state.rpartition(")")[2].split()[1]), command
    return found


def below(process: int) -> dict[int, str]:
    """All processes that a process started, at any distance."""
    all_of_them, found, level = processes(), {}, {process}
    while level:
        level = {number for number, (parent, _) in all_of_them.items() if parent in level}
        found |= {number: all_of_them[number][1] for number in level}
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for a process in /proc")
def test_the_ray_script_builds_a_zoo_though_a_task_is_killed(
    tmp_path: Path, recipe: Path, expected: dict[str, bytes]
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'tina-framework[cluster]'")
    for attempt in range(3):  # on a busy machine a short task can come and go between two looks
        zoo = tmp_path / f"zoo-{attempt}"
        words = [FOLDER / "zoo_ray.py", "--out", zoo, "--dataset", "shapes:4", "--config", recipe]
        # Without reports to its authors and without files in the home folder. Its sockets need a short path.
        temporary = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        variables = environment(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled", RAY_TMPDIR=str(temporary))
        with subprocess.Popen(
            [sys.executable, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
        ) as script:
            try:
                killed, deadline = False, time.monotonic() + 120
                while not killed and script.poll() is None and time.monotonic() < deadline:
                    busy = [
                        number for number, command in below(script.pid).items() if command.startswith("ray::models")
                    ]
                    for number in busy[:1]:
                        os.kill(number, signal.SIGKILL)
                        killed = True
                    time.sleep(0.02)
                output, errors = script.communicate(timeout=300)
            finally:
                script.kill()
                shutil.rmtree(temporary, ignore_errors=True)
        assert script.returncode == 0, errors[-4000:]
        if killed:
            break
    assert killed, "no task was running at any moment"
    assert "holds 7 p-Models in 4 shards" in output
    assert contents(zoo) == expected
