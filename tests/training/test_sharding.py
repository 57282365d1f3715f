"""Sharded weights (FSDP2): what a launch may ask for, and runs of two processes against runs of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import Make, finish, losses, start_group, wait_for, words
from tina_framework.errors import ConfigError
from tina_framework.storage.files import read_safetensors
from tina_framework.training.__main__ import main
from tina_framework.training.sharding import Sharding, check_settings, full, is_sharded, like, local, take_request

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
SCALED = {
    "preset": "tina",
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_encoder_layers": 3,
    "num_decoder_layers": 3,
    "rollout_probability": 0.3,
    "max_steps": 8,
    "lr_scheduler_type": "constant_with_warmup",
}
"""The full-size preset with less width and fewer blocks, and so few rollouts that a process often has none."""

COMPILED = {"torch_compile": True, "torch_compile_backend": "aot_eager", "gradient_checkpointing": True}


def test_without_a_request_nothing_is_sharded() -> None:
    assert take_request({}) is None
    assert take_request({"ACCELERATE_USE_FSDP": "false", "FSDP_VERSION": "1"}) is None


@pytest.mark.parametrize(("reshard", "expected"), [("true", True), ("FULL_SHARD", True), ("false", False)])
def test_a_request_is_taken_so_that_accelerate_does_not_shard(reshard: str, expected: bool) -> None:
    environment = {**FSDP, "FSDP_RESHARD_AFTER_FORWARD": reshard, "FSDP_OFFLOAD_PARAMS": "false"}
    assert take_request(environment) == Sharding(expected)
    assert "ACCELERATE_USE_FSDP" not in environment


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"FSDP_VERSION": "1"}, "FSDP version 1, but only version 2 works here"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, "--fsdp_offload_params is not supported"),
        ({"FSDP_ACTIVATION_CHECKPOINTING": "True"}, "Use the training setting gradient_checkpointing"),
    ],
)
def test_what_is_not_supported_is_refused(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        take_request({**FSDP, **changes})
    with pytest.raises(ConfigError, match="only version 2"):
        take_request({"ACCELERATE_USE_FSDP": "1"})  # version 1 is Accelerate's default


def test_settings_that_do_not_work_on_shards_are_refused(make_config: Make) -> None:
    check_settings(make_config(mixed_precision="bf16"))
    with pytest.raises(ConfigError, match="optim is adafactor"):
        check_settings(make_config(optim="adafactor"))
    with pytest.raises(ConfigError, match="mixed_precision is fp16"):
        check_settings(make_config(mixed_precision="fp16"))


def test_a_tensor_without_shards_is_whole_and_local() -> None:
    tensor = torch.arange(3.0)
    assert full(tensor) is tensor
    assert local(tensor) is tensor
    assert like(tensor, torch.zeros(3)) is tensor
    assert not is_sharded(tensor)
    assert not is_sharded(torch.nn.Linear(2, 2))


def test_one_process_says_that_nothing_is_sharded(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert main(words(settings, max_steps=1)) == 2
    assert "only version 2 works here. Add --fsdp_version 2" in capsys.readouterr().err
    monkeypatch.setenv("FSDP_VERSION", "2")
    assert main(words(settings, max_steps=1)) == 0
    assert "there is one process, so nothing is sharded" in capsys.readouterr().err
    assert "ACCELERATE_USE_FSDP" not in os.environ


def sharded(processes: int, arguments: list[str]) -> None:
    """Run sharded processes to their end."""
    done = finish(start_group([arguments] * processes, **FSDP))
    assert [code for code, _ in done] == [0] * processes, done


def assert_same_losses(first: Path, second: Path, rel: float) -> None:
    ours, theirs = losses(first), losses(second)
    assert len(ours) == len(theirs) == SCALED["max_steps"]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=rel)


def assert_same_generator(first: Path, second: Path) -> None:
    ours, theirs = (read_safetensors(folder / "generator" / "model.safetensors") for folder in (first, second))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "rel"),
    [({}, 1e-5), ({"gradient_checkpointing": True, "gradient_accumulation_steps": 2}, 1e-5), (COMPILED, 1e-5),
     ({"mixed_precision": "bf16"}, 0.02)],
)  # fmt: skip
def test_sharded_training_equals_one_process(
    settings: dict[str, Any], tmp_path: Path, changes: dict[str, Any], rel: float
) -> None:
    common = {**SCALED, "num_validation_tasks": 4, "validation_steps": 3, **changes}
    one, two = tmp_path / "one", tmp_path / "two"
    [(code, error)] = finish(
        start_group([words(settings, **common, output_dir=one)])
    )  # its own process has its precision
    assert code == 0, error
    sharded(2, words(settings, **common, output_dir=two))
    assert_same_losses(one, two, rel)
    if "mixed_precision" not in changes:
        assert_same_generator(one, two)
    files = {path.name for path in (two / "checkpoints" / "step-00000008").iterdir()}
    parts = {f"shard-0000{rank}-model-00001-of-00001.safetensors" for rank in (1, 2)}
    assert files == {*parts, "rng-00000.safetensors", "rng-00001.safetensors", "state.json", "manifest.json"}


@pytest.mark.slow
def test_a_killed_process_and_another_number_of_processes(settings: dict[str, Any], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    common = {**SCALED, "checkpointing_steps": 1, "task_batch_size": 12, "denoise_batch_size": 12}
    assert main(words(settings, **common, output_dir=one)) == 0
    group = start_group([words(settings, **common, output_dir=two)] * 2, **FSDP, TINA_PROCESS_TIMEOUT="30")
    wait_for(lambda: (two / "checkpoints" / "step-00000002" / "manifest.json").is_file())
    group[1].kill()
    done = finish(group)
    assert done[0][0] == 1
    assert "Process 1 of 2 ended at step" in done[0][1]
    assert "Traceback" not in done[0][1]
    resume = {**common, "output_dir": two, "resume_from_checkpoint": "latest"}
    reached = max(int(path.name[-8:]) for path in (two / "checkpoints").glob("step-*"))
    # Two sharded processes wrote the checkpoint: one plain process, three sharded ones and two plain ones go on in turn.
    assert main(words(settings, **{**resume, "max_steps": reached + 1})) == 0
    assert (two / "checkpoints" / f"step-{reached + 1:08d}" / "model.safetensors").is_file()
    for step, processes, variables in ((reached + 2, 3, FSDP), (reached + 3, 2, {}), (8, 2, FSDP)):
        if step <= 8:
            arguments = words(settings, **{**resume, "max_steps": step})
            done = finish(start_group([arguments] * processes, **variables))
            assert [code for code, _ in done] == [0] * processes, done
            assert "Resumed from" in done[0][1]
    assert_same_losses(one, two, 1e-5)
    assert_same_generator(one, two)


@pytest.mark.slow
def test_two_processes_refuse_what_cannot_be_sharded(settings: dict[str, Any], tmp_path: Path) -> None:
    for changes, variables, sentence in (
        ({"optim": "adafactor"}, FSDP, "optim is adafactor"),
        ({}, {**FSDP, "FSDP_VERSION": "1"}, "only version 2 works here"),
    ):
        for code, error in finish(start_group([words(settings, **changes)] * 2, **variables)):
            assert code in (1, 2)
            assert sentence in error
            assert "Traceback" not in error
