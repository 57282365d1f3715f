"""Runs of several processes as on several machines: own folders, kills, restarts on another number of processes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.runs import finish, losses, start_group, wait_for, words
from tina_framework.training.__main__ import main

pytestmark = pytest.mark.slow


def machine(settings: dict[str, Any], root: Path) -> dict[str, Any]:
    """The settings on a machine that has its own copy of the data, and shares no folder with others."""
    world = Path(settings["zoo"]).parent
    if not root.is_dir():
        shutil.copytree(world, root)
    return {
        **settings,
        "output_dir": str(root / "run"),
        "dataset": f"arrays:{root / 'data.npz'}",
        "zoo": str(root / "zoo"),
        "encoders": f"embedding-table:{root / 'table.npz'}",
    }


def test_machines_without_a_shared_folder_resume_exactly(settings: dict[str, Any], tmp_path: Path) -> None:
    common = {"max_steps": 10, "checkpointing_steps": 2, "dropout": 0.1, "num_validation_tasks": 2, "whitening": 0.1}
    whole, parts, late = (machine(settings, tmp_path / name) for name in ("whole", "parts", "late"))
    other = machine(settings, tmp_path / "other")
    for code, error in finish(start_group([words(whole, **common), words(other, **common)])):
        assert code == 0, error
    assert not (Path(other["output_dir"])).exists()  # only the first machine writes

    run = Path(parts["output_dir"])
    group = start_group([words(parts, **common), words(other, **common)])
    wait_for(lambda: (run / "checkpoints" / "step-00000004" / "manifest.json").is_file())
    for process in group:
        process.kill()
        process.communicate()
    again = {**common, "resume_from_checkpoint": "latest"}
    # The second machine is new: it has neither a checkpoint nor a log.
    done = finish(start_group([words(parts, **again), words(late, **again)]))
    assert [code for code, _ in done] == [0, 0], done
    assert "Resumed from" in done[0][1]
    assert losses(run) == losses(Path(whole["output_dir"]))
    assert len(losses(run)) == 10
    final = [Path(folder["output_dir"]) / "generator" / "model.safetensors" for folder in (whole, parts)]
    assert final[0].read_bytes() == final[1].read_bytes()


def test_machines_that_differ_are_named(settings: dict[str, Any], tmp_path: Path) -> None:
    first, second = (machine(settings, tmp_path / name) for name in ("first", "second"))
    advice = "Start all processes with the same settings, data and versions."
    for code, error in finish(start_group([words(first), words(second, checkpointing_steps=3)])):
        assert code == 2
        assert error == (f"Error: Process 1 of 2 has checkpointing_steps=3, but process 0 has None. {advice}")
    damaged = {**second, "zoo": str(tmp_path / "nowhere")}
    (code, error), (own_code, own) = finish(start_group([words(first), words(damaged)]))
    assert (code, own_code) == (1, 1)
    assert error.startswith("Error: Process 1 of 2 failed. '")
    assert "nowhere' is not a zoo" in error
    assert "nowhere' is not a zoo" in own
    table = dict(np.load(tmp_path / "second" / "table.npz"))
    np.savez(tmp_path / "second" / "table.npz", **{**table, "vectors": table["vectors"] + 0.1})
    for code, error in finish(start_group([words(first), words(second)])):
        assert code == 2
        assert error.startswith("Error: Process 1 of 2 has vectors='")
        assert error.endswith(advice)


def test_errors_of_the_checkpoint_end_all_machines(settings: dict[str, Any], tmp_path: Path) -> None:
    first, second = (machine(settings, tmp_path / name) for name in ("first", "second"))
    assert main(words(first, max_steps=1)) == 0
    again = {"max_steps": 1, "resume_from_checkpoint": "latest"}
    for code, error in finish(start_group([words(first, **again, seed=3), words(second, **again, seed=3)])):
        assert code == 1
        assert error.startswith("Error: Checkpoint '")
        assert "was written with seed=0 (now 3)" in error
    folder = Path(first["output_dir"]) / "checkpoints" / "step-00000001"
    (folder / "ema.safetensors").write_bytes(b"short")
    for code, error in finish(start_group([words(first, **again), words(second, **again)])):
        assert code == 1
        assert "None of the 1 checkpoints" in error


def test_a_run_goes_on_with_any_number_of_processes(settings: dict[str, Any], tmp_path: Path) -> None:
    common = {"task_batch_size": 6, "denoise_batch_size": 6, "max_steps": 8, "num_validation_tasks": 3}
    assert main(words(settings, **common, output_dir=tmp_path / "whole")) == 0
    first = tmp_path / "first"
    start = words(settings, **common, output_dir=first, checkpointing_steps=3, checkpoints_total_limit=9)
    for code, error in finish(start_group([start] * 2)):
        assert code == 0, error
    for count in (1, 2, 3):
        folder = tmp_path / f"on-{count}"
        shutil.copytree(first, folder)
        checkpoint = folder / "checkpoints" / "step-00000003"
        again = words(settings, **common, output_dir=folder, resume_from_checkpoint=checkpoint)
        (code, error), *others = finish(start_group([again] * count))
        assert (code, {code for code, _ in others} - {0}) == (0, set()), error
        expected = (
            f"Resumed on {count} process{'es' * (count > 1)}; the checkpoint was written by 2: the losses are the same"
        )
        assert (expected in error) == (count != 2)
        for one, two in zip(losses(folder), losses(tmp_path / "whole"), strict=True):
            assert one == pytest.approx(two, rel=1e-5, abs=1e-5)


def test_dropout_draws_anew_on_another_number_of_processes(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = {"dropout": 0.2, "max_steps": 6}
    start = words(settings, **common, checkpointing_steps=3, checkpoints_total_limit=9)
    for code, error in finish(start_group([start] * 2)):
        assert code == 0, error
    capsys.readouterr()
    runs = []
    for name in ("a", "b"):
        shutil.copytree(tmp_path / "run", tmp_path / name)
        checkpoint = tmp_path / name / "checkpoints" / "step-00000003"
        again = words(settings, **common, output_dir=tmp_path / name, resume_from_checkpoint=checkpoint)
        assert main(again) == 0
        assert "was written by 2: dropout draws other numbers from here on" in capsys.readouterr().err
        runs.append(losses(tmp_path / name))
    assert runs[0] == runs[1]  # the new numbers follow from seed, step and process
    assert len(runs[0]) == 6
