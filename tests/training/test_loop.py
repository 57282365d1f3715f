"""The training loop: what it leaves behind, and when it stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import Make, log
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.generator.generator import Generator
from tina_framework.storage.files import read_json, read_safetensors
from tina_framework.training.loop import Trainer
from tina_framework.training.objectives import TaskObjective


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
        "max_seconds=1e-06 have passed). To continue, use the same settings and --resume_from_checkpoint latest"
        in capsys.readouterr().err
    )
    resumed = Trainer(make_config(resume_from_checkpoint="latest"))
    assert resumed.stepper.step == outcome.step


def test_batches_must_be_shared_equally(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"task_batch_size is 4, .*Choose a multiple of 3"):
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
