"""The script that proves on a GPU what a CPU cannot prove, cut down; its runner, its pack, and the sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu.__main__ import LIMITS
from benchmarks.gpu.metadata import write_metadata
from benchmarks.gpu.pictures import pack, unpack
from benchmarks.gpu.record import Record
from benchmarks.gpu.runner import Part, run_parts
from benchmarks.gpu.sizes import TINY, Sizes, read_sizes
from benchmarks.script import PRETRAINED, REPOSITORY
from tina_framework.plugin.discovery import registries

FOLDER = REPOSITORY / "benchmarks" / "gpu"
RUN = FOLDER / "run.sh"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten noisy colour patches for each class of CIFAR-100."""
    names = json.loads((PRETRAINED / "cifar100-zoo" / "zoo.json").read_text())["class_names"]
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (len(names), 3))
    arrays = {}
    for split, count in (("train", 10), ("test", 2)):
        labels = np.repeat(np.arange(len(names)), count)
        noise = rng.normal(scale=8, size=(len(labels), 32, 32, 3))
        arrays[f"{split}_images"] = np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    fine = np.arange(len(names))
    path = tmp_path_factory.mktemp("data") / "small.npz"
    coarse = np.array([f"group {number}" for number in range(20)])
    np.savez(path, class_names=np.array(names), fine_to_coarse=fine % 20, coarse_names=coarse, **arrays)
    return path


def part(name: str, program: str, limit: float | None = 60.0) -> Part:
    return Part(name, [sys.executable, "-c", program], limit)


GOOD = """
import os
from pathlib import Path
from benchmarks.gpu.record import Record
record = Record(Path(os.environ["GPU_RECORD"]), "good", float(os.environ["GPU_DEADLINE"]))
record.set("answer", 42)
record.end()
"""


def test_a_part_that_fails_or_hangs_leaves_an_error_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    parts = [
        part("crashes", "raise ValueError('no such kernel')"),
        part("hangs", GOOD.replace("record.end()", "import time; time.sleep(600)"), limit=4),
        Part("absent", ["/no/such/program"], 60.0),
        part("good", GOOD, limit=None),
    ]
    out = tmp_path / "out"
    assert not run_parts(parts, out, 120, tmp_path)
    records = {p.name: json.loads((out / f"{p.name}.json").read_text()) for p in parts}
    assert {name: record["status"] for name, record in records.items()} == {
        "crashes": "failed",
        "hangs": "stopped",
        "absent": "failed",
        "good": "done",
    }
    assert records["crashes"]["errors"][0]["lines"][-1] == "ValueError: no such kernel"
    assert records["hangs"]["figures"] == {"answer": 42}
    assert "stopped after 4 s" in records["hangs"]["errors"][0]["what"]
    summary = (out / "summary.md").read_text()
    assert "| good | done |" in summary
    assert "no such kernel" in summary
    # The place that this is made for returns no more than eight files.
    assert len(LIMITS) + len(["summary.md"]) <= 8


def test_parts_without_time_are_skipped(tmp_path: Path) -> None:
    assert not run_parts([part("late", GOOD)], tmp_path, 1, tmp_path)
    assert json.loads((tmp_path / "late.json").read_text())["status"] == "skipped"


def test_a_record_keeps_errors_and_goes_on(tmp_path: Path) -> None:
    record = Record(tmp_path / "x.json", "x", deadline=2e12)
    assert record.attempt("division", lambda: 1 / 0) is None
    assert record.attempt("sum", lambda: 1 + 1) == 2
    record.deadline = 0
    assert record.attempt("late", lambda: 1) is None
    record.end()
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["status"] == "failed"
    assert found["errors"][0]["what"] == "division"
    assert found["errors"][0]["lines"][-1].startswith("ZeroDivisionError")
    assert found["skipped"][0].startswith("late")


def test_sizes_come_from_the_environment() -> None:
    assert read_sizes(tiny=True, environment={}) == TINY
    changed = read_sizes(
        tiny=False,
        environment={"GPU_BATCHES": "1,8", "GPU_COMPILE": "0", "GPU_PRESET": "tiny", "GPU_SPEED_SECONDS": "1.5"},
    )
    assert changed == Sizes(batches=(1, 8), compile=False, preset="tiny", speed_seconds=1.5)
    with pytest.raises(ValueError, match="GPU_ZOO_MODELS is 'many'"):
        read_sizes(tiny=False, environment={"GPU_ZOO_MODELS": "many"})


def test_limits_leave_time_for_the_last_part() -> None:
    assert sum(limit or 0 for limit in LIMITS.values()) <= 450
    assert list(LIMITS.values())[-1] is None
    assert all((FOLDER / f"{name}_part.py").is_file() for name in LIMITS)


def test_packed_pictures_are_close_to_those_that_were_packed(data: Path, tmp_path: Path) -> None:
    size = pack(data, tmp_path / "pictures", pictures=5, quality=90)
    assert size < 1e6
    unpack(tmp_path / "pictures", tmp_path / "again.npz")
    before = registries().datasets.create(f"arrays:{data}")
    after = registries().datasets.create(f"arrays:{tmp_path / 'again.npz'}")
    assert list(after.class_names) == list(before.class_names)
    for split, count in (("train", 5), ("validation", 1), ("test", 2)):
        images, labels = after.load(split).images, after.load(split).labels
        assert labels.tolist() == np.repeat(np.arange(100), count).tolist()
        rows = [np.flatnonzero(before.load(split).labels == label)[:count] for label in range(100)]
        assert np.abs(images.astype(int) - before.load(split).images[np.concatenate(rows)]).mean() < 8


def test_metadata_names_the_entry_points(tmp_path: Path) -> None:
    info = write_metadata(tmp_path)
    assert "tina_framework.builtins.plugin" in (info / "entry_points.txt").read_text()
    assert (info / "METADATA").read_text().startswith("Metadata-Version")


def test_a_pack_over_the_limit_is_refused(data: Path, tmp_path: Path) -> None:
    variables = {"DATA": str(data), "PACK": str(tmp_path / "pack"), "WHEELS": "none", "PICTURES": "3", "LIMIT_MIB": "1"}
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a git checkout, whose size is measured")
    done = subprocess.run(
        ["bash", str(FOLDER / "pack.sh")],
        env={**os.environ, **variables, "PYTHON": sys.executable, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "more than 1 MiB" in done.stderr
    assert "checkout without plugins" in done.stdout
    assert sorted(path.name for path in (tmp_path / "pack" / "pictures").iterdir()) == [
        "labels.npz",
        "test.jpg",
        "train.jpg",
        "validation.jpg",
    ]


@pytest.mark.slow
def test_everything_runs_cut_down_on_a_cpu(data: Path, tmp_path: Path) -> None:
    """From a packed subset, with the code of a GPU."""
    pack(data, tmp_path / "pack" / "pictures", pictures=10)
    out = tmp_path / "out"
    done = subprocess.run(
        ["bash", str(RUN), "--tiny"],
        env={
            **os.environ,
            "PACK": str(tmp_path / "pack"),
            "OUT": str(out),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(REPOSITORY),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    records = {name: json.loads((out / f"{name}.json").read_text()) for name in LIMITS}
    assert {name: record["errors"] for name, record in records.items()} == {name: [] for name in LIMITS}, done.stdout
    assert {record["status"] for record in records.values()} == {"done"}
    assert done.returncode == 0, done.stderr
    assert all(record["environment"]["device"] == "cpu" for record in records.values())
    figures = {name: record["figures"] for name, record in records.items()}
    assert figures["tests"]["gpu"]["skipped"] > 10
    assert figures["resume"]["as shipped"]["weights, average and moments bit-equal"]
    assert figures["resume"]["as shipped"]["losses bit-equal"]
    several = figures["resume"]["as shipped, several networks"]
    assert several["weights, average and moments bit-equal"]
    assert "cnn-2layer@0.5, difference from the CPU" in figures["resume"]
    assert {"fp32", "TF32", "bf16", "bf16, im2col"} <= figures["speed"].keys()
    assert figures["zoo"]["build_zoo"]["models"] == TINY.zoo_models
    assert "float32, 3 a call" in figures["generation"]
    assert {"training, bf16", "training, fp32", "sampling, fp32", "loading, bf16"} <= figures["full_size"].keys()
    assert len(figures["curve"]["validation"]) >= 2
    assert figures["curve"]["end"]["step"] > 0
    assert len(list(out.iterdir())) == 8
