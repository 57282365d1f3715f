"""The training loop: what it leaves behind, and when it stops."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch

from tests.training.runs import Make, log, start
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.storage.files import read_json, read_safetensors
from tina_framework.training.loop import Trainer


@pytest.mark.parametrize("objective", ["task", "denoise"])
def test_training_lowers_the_loss(make_config: Make, objective: str) -> None:
    changes = {"task_weight": float(objective == "task"), "denoise_weight": float(objective == "denoise")}
    config = make_config(max_steps=40, learning_rate=0.003, rollout_probability=0.1, ridge="none", **changes)
    Trainer(config).train()
    rows = log(config)
    first, last = (sum(row[f"{objective}_loss"] for row in part) / 8 for part in (rows[:8], rows[-8:]))
    assert last < 0.9 * first


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
    assert read_json(config.output_dir / "config.json")["recipe_sha256"] == config.sha256()


def test_max_seconds_ends_in_order(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config(max_seconds=1e-6)
    outcome = Trainer(config).train()
    assert not outcome.finished
    assert outcome.generator.is_dir()
    assert (
        "max_seconds=1e-06 have passed). To continue, use the same settings and --resume_from_checkpoint latest"
        in capsys.readouterr().err
    )
    assert start(make_config(resume_from_checkpoint="latest")) == outcome.step == 1


def test_settings_that_accelerate_refuses(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"report_to=.*nonsense"):
        Trainer(make_config(report_to="nonsense"))


def test_a_run_leaves_no_thread(make_config: Make) -> None:
    before = set(threading.enumerate())
    trainer = Trainer(make_config(max_steps=2, target_workers=2, num_validation_tasks=0))
    trainer.train()
    assert set(threading.enumerate()) <= before, "although the trainer is still referenced"


def test_a_signal_is_not_repeated_while_a_run_closes(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(make_config(num_validation_tasks=0))
    close = trainer.close

    def close_slowly() -> None:
        os.kill(os.getpid(), signal.SIGINT)  # a launcher passes on the Ctrl-C that stopped this run
        close()

    monkeypatch.setattr(trainer, "close", close_slowly)
    monkeypatch.setattr(trainer.log, "advance", lambda *figures: os.kill(os.getpid(), signal.SIGINT))
    assert trainer.train().exit_code == 128 + signal.SIGINT
