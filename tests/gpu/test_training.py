"""Training on a GPU: equal to the CPU with rounding, exact when resumed, and with few waits for the device."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tests.training.runs import Make, log, weights
from tina_framework.config.training import TrainingConfig
from tina_framework.training import loop
from tina_framework.training.loop import Trainer

CUDA = torch.device("cuda", 0)


def steps(config: TrainingConfig, count: int) -> list[tuple[dict[str, float], float]]:
    """The losses and norms of the first steps."""
    trainer = Trainer(config)
    trainer.close()
    return [trainer.stepper.train_step() for _ in range(count)]


def connect_cpu(config: TrainingConfig, notify: Callable[[str], None]) -> Any:
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True, mixed_precision=config.mixed_precision)


def test_steps_are_those_of_the_cpu(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_config(tf32=False)
    found = steps(here, 3)
    monkeypatch.setattr(loop, "connect", connect_cpu)
    expected = steps(make_config(output_dir=here.output_dir / "cpu"), 3)
    for (losses, norm), (others, other_norm) in zip(found, expected, strict=True):
        assert losses == pytest.approx(others, rel=1e-3, abs=1e-4)
        assert norm == pytest.approx(other_norm, rel=1e-2)


@pytest.mark.parametrize(
    "changes",
    [
        {"tf32": True},
        {"mixed_precision": "bf16", "target_precision": "bf16"},
        {"target_convolution": "im2col"},
        {"gradient_checkpointing": True},
    ],
    ids=str,
)
def test_settings_of_speed_keep_the_losses(make_config: Make, changes: dict[str, Any]) -> None:
    plain = make_config(tf32=False)
    expected = steps(plain, 2)
    AcceleratorState._reset_state(reset_partial_state=True)
    found = steps(make_config(output_dir=plain.output_dir / "other", **changes), 2)
    for (losses, _), (others, _) in zip(found, expected, strict=True):
        assert losses == pytest.approx(others, rel=0.1, abs=0.05)


def test_resuming_is_exact_with_a_fused_optimizer(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        common = {"checkpointing_steps": 4, "max_steps": 8}
        whole = make_config(**common)
        trainer = Trainer(whole)
        assert any(group.get("fused") for group in trainer.stepper.optimizer.param_groups)
        trainer.train()
        AcceleratorState._reset_state(reset_partial_state=True)
        middle = whole.output_dir / "checkpoints" / "step-00000004"
        branch = make_config(output_dir=whole.output_dir.parent / "branch", resume_from_checkpoint=middle, **common)
        Trainer(branch).train()
    finally:
        torch.use_deterministic_algorithms(False)
    expected, found = weights(whole, 8), weights(branch, 8)
    for name in expected:
        if not name.startswith("rng"):
            assert torch.equal(expected[name], found[name]), name
    assert [row["loss"] for row in log(whole)[4:]] == [row["loss"] for row in log(branch)[-4:]]


def test_a_step_waits_for_the_device_at_most_four_times(make_config: Make) -> None:
    trainer = Trainer(make_config())
    trainer.close()
    for _ in range(2):  # constant tables are uploaded at their first use
        trainer.stepper.train_step()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer.stepper.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [f"{warning.filename}:{warning.lineno}" for warning in caught if "synchronizing" in str(warning.message)]
    assert len(found) <= 4, found


def test_a_whole_run_with_validation(make_config: Make) -> None:
    outcome = Trainer(make_config(num_validation_tasks=4, validation_steps=4, checkpointing_steps=4)).train()
    assert outcome.finished
    assert outcome.validation is not None
