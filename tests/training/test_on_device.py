"""Training on a played GPU: no operation mixes devices, and few things cross between host and device in a step."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState

from tests.playing_device import DEVICE, PlayedDevice, on_device
from tests.training.runs import Make
from tina_framework.config.training import TrainingConfig
from tina_framework.targets.device import FORCE_BATCHED_VARIABLE
from tina_framework.training import loop
from tina_framework.training.loop import Trainer

STEP = {
    "upload": ("training/draws.py", 2),  # what was drawn on the host: one upload of floats, one of integers
    "download": ("training/step.py", 1),  # losses and norm together, for the check and the log
}
"""Kind of crossing -> the module that causes it, and how often it does so in a step."""


def connect(config: TrainingConfig, notify: Callable[[str], None]) -> Any:
    """Accelerate's object of a run on the played device."""
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, mixed_precision=config.mixed_precision)
    for state in (PartialState, AcceleratorState):
        state._shared_state["device"] = DEVICE
    assert accelerator.device == DEVICE
    return accelerator


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedDevice]:
    monkeypatch.setattr(loop, "connect", connect)
    with PlayedDevice() as device:
        yield device
    AcceleratorState._reset_state(reset_partial_state=True)


CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "chunk": {"tokenizer": "chunk"},
    "noise": {"prediction_type": "epsilon"},
    "velocity": {"prediction_type": "v_prediction", "snr_gamma": 5},
    "flow": {"scheduler": "flow-match-euler", "prediction_type": "flow_prediction"},
    "regression": {"regression": True, "denoise_weight": 0, "rollout_probability": 0},
    "bf16": {"mixed_precision": "bf16"},
    "retrieval": {"retrieve_rows": True, "class_counts": "4:1", "unseen_class_probability": 0.5},
    "checkpointing": {"gradient_checkpointing": True},
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_crosses_three_times_and_mixes_nothing(make_config: Make, played: PlayedDevice, case: str) -> None:
    trainer = Trainer(make_config(**CASES[case]))
    trainer.close()
    for _ in range(2):  # constant tables are uploaded at their first use
        trainer.stepper.train_step()
    assert all(on_device(p) for p in trainer.stepper.denoiser.parameters())
    with played.watching() as step:
        losses, _ = trainer.stepper.train_step()
    print(f"{case}: {step.operations} operations, {step.device_operations} on the device")  # shown by pytest -s
    assert all(map(torch.isfinite, map(torch.tensor, losses.values())))
    found = Counter((c.kind, c.where.split(":")[0]) for c in step.crossings)
    assert found == {(kind, module): number for kind, (module, number) in STEP.items()}, f"\n{step.table()}"


def test_more_tasks_and_class_counts_cost_no_more_operations(make_config: Make, played: PlayedDevice) -> None:
    root, counts = make_config().output_dir, set()
    for i, changes in enumerate(({}, {"class_counts": "4:1"}, {"task_batch_size": 8, "class_counts": "4:1,3:1,2:1"})):
        trainer = Trainer(make_config(output_dir=root / str(i), rollout_probability=1, **changes))
        trainer.close()
        for _ in range(2):
            trainer.stepper.train_step()
        with played.watching() as step:
            trainer.stepper.train_step()
        counts.add(step.device_operations)
    assert len(counts) == 1, counts


def test_a_step_on_the_device_is_a_step_on_the_host(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    for plays in (False, True):
        config = make_config(output_dir=make_config().output_dir / str(plays))
        with contextlib.ExitStack() as stack:
            if plays:
                monkeypatch.setattr(loop, "connect", connect)
                stack.enter_context(PlayedDevice())
                stack.callback(AcceleratorState._reset_state, reset_partial_state=True)
            trainer = Trainer(config)
            trainer.close()
            steps.append([trainer.stepper.train_step() for _ in range(3)])
    for (losses, norm), (expected, expected_norm) in zip(steps[1], steps[0], strict=True):
        assert losses == pytest.approx(expected, abs=1e-5)
        assert norm == pytest.approx(expected_norm, rel=1e-4)


def test_the_code_of_a_gpu_trains_the_same_on_a_cpu(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root, steps = make_config().output_dir, []
    for forced in ("", "1"):
        monkeypatch.setenv(FORCE_BATCHED_VARIABLE, forced)
        trainer = Trainer(make_config(output_dir=root / f"forced{forced}"))
        trainer.close()
        steps.append([trainer.stepper.train_step() for _ in range(3)])
    for (losses, norm), (expected, expected_norm) in zip(steps[1], steps[0], strict=True):
        assert losses == pytest.approx(expected, abs=1e-5)
        assert norm == pytest.approx(expected_norm, rel=1e-4)


def test_a_whole_run_mixes_nothing(make_config: Make, played: PlayedDevice) -> None:
    """With validation, checkpoints, export, and a resume."""
    changes = {"num_validation_tasks": 4, "validation_steps": 4, "checkpointing_steps": 4}
    Trainer(make_config(max_steps=4, lr_scheduler_type="constant_with_warmup", **changes)).train()
    settings = {"resume_from_checkpoint": "latest", "lr_scheduler_type": "constant_with_warmup", **changes}
    outcome = Trainer(make_config(max_steps=8, **settings)).train()
    assert outcome.finished
    assert outcome.validation is not None
