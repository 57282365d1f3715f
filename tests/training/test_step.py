"""One optimizer step: sharing of batches, accumulation, and values that are not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import Make
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.training.loop import Trainer
from tina_framework.training.objectives import TaskObjective


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


def test_batches_must_be_shared_equally(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"task_batch_size is 4, .*Choose a multiple of 3"):
        Trainer(make_config(gradient_accumulation_steps=3))
    with pytest.raises(ConfigError, match=r"task_batch_size is 4, .*the 4 draws of a task .*Choose a multiple of 8"):
        Trainer(make_config(gradient_accumulation_steps=2, draws_per_task=4, input_floor=1))


@pytest.mark.parametrize(("draws", "divisions"), [(1, (1, 2, 4)), (2, (1, 2))])
def test_accumulation_gives_the_same_step(
    make_config: Make, tmp_path: Path, draws: int, divisions: tuple[int, ...]
) -> None:
    norms = []
    for parts in divisions:
        trainer = Trainer(
            make_config(
                gradient_accumulation_steps=parts,
                draws_per_task=draws,
                input_floor=1,
                output_dir=tmp_path / str(parts),
            )
        )
        norms.append(trainer.stepper.train_step())
    for losses, norm in norms[1:]:
        assert losses == pytest.approx(norms[0][0], rel=1e-5)
        assert norm == pytest.approx(norms[0][1], rel=1e-4)
