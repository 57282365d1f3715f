from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError, TrainingError
from tina_framework.generator.generator import Generator
from tina_framework.storage.files import read_json, read_safetensors
from tina_framework.training.loop import Trainer
from tina_framework.training.objectives import TaskObjective

Make = Callable[..., TrainingConfig]


def log(config: TrainingConfig, kind: str = "train") -> list[dict[str, Any]]:
    lines = (config.output_dir / "log.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def weights(config: TrainingConfig, step: int) -> dict[str, torch.Tensor]:
    folder = config.output_dir / "checkpoints" / f"step-{step:08d}"
    return {
        f"{name}/{key}": tensor
        for name in ("model", "ema", "optimizer", "rng-00000")
        for key, tensor in read_safetensors(folder / f"{name}.safetensors").items()
    }


def stop_after(trainer: Trainer, step: int) -> None:
    """As if a signal came in the middle of that step."""
    train_step = trainer.stepper.train_step

    def wrapped() -> Any:
        result = train_step()
        if trainer.stepper.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    trainer.stepper.train_step = wrapped  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.2},
        {"pool_rank": 6, "pool_moments": 3},
        {"tokenizer": "chunk", "gradient_accumulation_steps": 2},
        {"optim": "adafactor", "retrieve_rows": True, "unseen_class_probability": 0.5},
    ],
)
def test_stopped_and_resumed_is_bit_identical(make_config: Make, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole = make_config(output_dir=tmp_path / "whole", **changes)
    assert Trainer(whole).train().finished
    parts = make_config(output_dir=tmp_path / "parts", **changes)
    trainer = Trainer(parts)
    stop_after(trainer, 3)
    outcome = trainer.train()
    assert (outcome.step, outcome.finished) == (3, False)
    torch.rand(17)  # the world goes on
    resumed = Trainer(make_config(output_dir=tmp_path / "parts", resume_from_checkpoint="latest", **changes))
    assert resumed.stepper.step == 3
    assert resumed.train().finished
    one, two = weights(whole, 8), weights(parts, 8)
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    figures = ("step", "loss", "task_loss", "denoise_loss", "learning_rate", "grad_norm")
    assert [[row[f] for f in figures] for row in log(whole)] == [[row[f] for f in figures] for row in log(parts)]


def test_a_run_from_a_generator_resumes_only_from_the_same(make_config: Make, tmp_path: Path) -> None:
    first, second = (
        make_config(max_steps=1, output_dir=tmp_path / "a"),
        make_config(max_steps=1, seed=5, output_dir=tmp_path / "b"),
    )
    starts = [Trainer(config).train().generator for config in (first, second)]
    run = {"max_steps": 2, "output_dir": tmp_path / "c"}
    Trainer(make_config(**run, init_from=starts[0])).train()
    recorded = Generator.from_pretrained(tmp_path / "c" / "generator", device="cpu").config.training
    assert recorded["start"]["recipe_sha256"] == first.sha256()
    assert recorded["start"]["step"] == 1
    again = {**run, "resume_from_checkpoint": "latest"}
    moved = shutil.copytree(starts[0], tmp_path / "moved")
    assert Trainer(make_config(**again, init_from=moved)).stepper.step == 2
    for other in ({"init_from": starts[1]}, {}):
        with pytest.raises(CheckpointError, match=r"the generator it started from \(init_from\) has changed since"):
            Trainer(make_config(**again, **other))


@pytest.mark.parametrize("objective", ["task", "denoise"])
def test_training_lowers_the_loss(make_config: Make, objective: str) -> None:
    changes = {"task_weight": float(objective == "task"), "denoise_weight": float(objective == "denoise")}
    config = make_config(max_steps=40, learning_rate=0.003, rollout_probability=0.1, ridge="none", **changes)
    Trainer(config).train()
    rows = log(config)
    first, last = (sum(row[f"{objective}_loss"] for row in part) / 8 for part in (rows[:8], rows[-8:]))
    assert last < 0.9 * first


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_non_finite_loss_or_gradient_stops_before_the_step(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    config = make_config(checkpointing_steps=2)
    trainer = Trainer(config)
    task = next(o for o in trainer.stepper.objectives if isinstance(o, TaskObjective))
    losses, before = task.losses, {}

    def poisoned(predicted: torch.Tensor, rows: Any) -> torch.Tensor:
        good = losses(predicted, rows)
        if trainer.stepper.step < 3:
            return good
        before.update({n: p.detach().clone() for n, p in trainer.stepper.denoiser.named_parameters()})
        if where == "loss":
            return good * float("nan")
        predicted.register_hook(lambda gradient: gradient * float("inf"))
        return good

    monkeypatch.setattr(task, "losses", poisoned)
    expected = "the loss of objective 'task' became nan" if where == "loss" else "the norm of the gradient became"
    with pytest.raises(TrainingError, match=rf"At step 3 {expected}.*process 0.*learning_rate"):
        trainer.train()
    after = dict(trainer.stepper.denoiser.named_parameters())
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (config.output_dir / "checkpoints" / "step-00000002" / "manifest.json").is_file()
    assert not (config.output_dir / "generator").exists()


def test_a_whole_run_leaves_log_checkpoints_best_and_generator(make_config: Make) -> None:
    config = make_config(num_validation_tasks=4, validation_steps=4, checkpointing_steps=2, logging_steps=2)
    outcome = Trainer(config).train()
    assert outcome.validation is not None
    assert [row["step"] for row in log(config, "validation")] == [0, 4, 8]
    assert [row["step"] for row in log(config)] == [2, 4, 6, 8]
    row = log(config)[-1]
    assert row["loss"] == pytest.approx(row["task_loss"] + 0.1 * row["denoise_loss"])
    assert {"learning_rate", "grad_norm", "images_per_second", "seconds", "eta_seconds"} <= row.keys()
    folders = sorted(path.name for path in (config.output_dir / "checkpoints").iterdir())
    assert folders == ["step-00000006", "step-00000008"]
    generator = Generator.from_pretrained(outcome.generator, device="cpu")
    recorded = generator.config.training["validation"]
    assert recorded["accuracy"] == log(config, "validation")[-1]["accuracy"]
    average = read_safetensors(config.output_dir / "checkpoints" / "step-00000008" / "ema.safetensors")
    for name, parameter in generator.denoiser.named_parameters():
        assert torch.equal(parameter, average[name])
    best = Generator.from_pretrained(config.output_dir / "best", device="cpu").config.training
    assert best["validation"]["accuracy"] == max(row["accuracy"] for row in log(config, "validation"))
    assert read_json(config.output_dir / "config.json")["sha256"] == config.sha256()


def test_max_seconds_ends_in_order(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config(max_seconds=1e-6)
    outcome = Trainer(config).train()
    assert not outcome.finished
    assert outcome.generator.is_dir()
    assert (
        "max_seconds=1e-06 are over). Go on with the same settings and --resume_from_checkpoint latest"
        in capsys.readouterr().err
    )
    resumed = Trainer(make_config(resume_from_checkpoint="latest"))
    assert resumed.stepper.step == outcome.step


def test_a_damaged_checkpoint_is_skipped_and_named(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config(checkpointing_steps=4)
    Trainer(config).train()
    newest = config.output_dir / "checkpoints" / "step-00000008"
    (newest / "model.safetensors").write_bytes(b"short")
    trainer = Trainer(make_config(checkpointing_steps=4, resume_from_checkpoint="latest"))
    assert trainer.stepper.step == 4
    assert f"'{newest}' is skipped: model.safetensors has 5 bytes" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match=r"cannot be resumed from: model.safetensors has 5 bytes"):
        Trainer(make_config(resume_from_checkpoint=newest))
    (newest.parent / "step-00000004" / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="None of the 2 checkpoints"):
        Trainer(make_config(resume_from_checkpoint="latest"))


def test_resuming_with_other_settings_or_data_is_refused(make_config: Make, world: Path, tmp_path: Path) -> None:
    import numpy as np

    Trainer(make_config(max_steps=2)).train()
    with pytest.raises(CheckpointError, match=r"learning_rate=0.002 \(now 0.5\), max_steps=2 \(now 8\); resume"):
        Trainer(make_config(learning_rate=0.5, resume_from_checkpoint="latest"))
    table = dict(np.load(world / "table.npz"))
    table["vectors"] = table["vectors"] + 0.1
    np.savez(tmp_path / "other.npz", **table)
    changes = {"max_steps": 2, "resume_from_checkpoint": "latest"}
    with pytest.raises(CheckpointError, match="the encoders' vectors have changed"):
        Trainer(make_config(encoders=f"embedding-table:{tmp_path / 'other.npz'}", **changes))
    np.savez(tmp_path / "same.npz", **dict(np.load(world / "table.npz")))
    moved = make_config(encoders=f"embedding-table:{tmp_path / 'same.npz'}", logging_steps=7, **changes)
    assert Trainer(moved).stepper.step == 2


def test_a_missing_random_state_is_refused(make_config: Make) -> None:
    config = make_config(max_steps=1)
    Trainer(config).train()
    folder = config.output_dir / "checkpoints" / "step-00000001"
    manifest = read_json(folder / "manifest.json")
    del manifest["files"]["rng-00000.safetensors"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "rng-00000.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no random state for process 0"):
        Trainer(make_config(max_steps=1, resume_from_checkpoint="latest"))


def test_a_folder_with_a_run_is_not_overwritten_unasked(make_config: Make) -> None:
    config = make_config(max_steps=1)
    Trainer(config).train()
    with pytest.raises(ConfigError, match="holds a run already"):
        Trainer(make_config(max_steps=1))
    again = Trainer(make_config(max_steps=1, overwrite_output_dir=True))
    assert again.stepper.step == 0
    again.train()
    assert len(log(config)) == 1


def test_latest_without_checkpoint_starts_anew(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert Trainer(make_config(resume_from_checkpoint="latest")).stepper.step == 0
    assert "training starts at step 0" in capsys.readouterr().err


def test_batches_must_be_shared_equally(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"task_batch_size is 4, .*choose a multiple of 3"):
        Trainer(make_config(gradient_accumulation_steps=3))


def test_settings_that_accelerate_refuses(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"report_to=.*nonsense"):
        Trainer(make_config(report_to="nonsense"))


def test_accumulation_gives_the_same_step(make_config: Make, tmp_path: Path) -> None:
    norms = []
    for parts in (1, 2, 4):
        trainer = Trainer(make_config(gradient_accumulation_steps=parts, output_dir=tmp_path / str(parts)))
        norms.append(trainer.stepper.train_step())
    for losses, norm in norms[1:]:
        assert losses == pytest.approx(norms[0][0], rel=1e-5)
        assert norm == pytest.approx(norms[0][1], rel=1e-4)
