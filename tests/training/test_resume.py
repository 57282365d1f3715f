"""A run that was stopped goes on exactly, or is refused with the reason."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.training.runs import Make, log, start, stop_after, weights
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_json
from tina_framework.training import checkpoint, resume
from tina_framework.training.loop import Trainer
from tina_framework.training.run_state import RunState
from tina_framework.zoo.teacher import Teacher


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


def lines(config: TrainingConfig) -> list[dict[str, Any]]:
    """The log without times."""
    times = ("seconds", "eta_seconds", "images_per_second")
    rows = map(json.loads, (config.output_dir / "log.jsonl").read_text().splitlines())
    return [{name: value for name, value in row.items() if name not in times} for row in rows]


@pytest.mark.parametrize("stop", [1, 2, 5, 7])
def test_the_log_and_the_best_of_a_resumed_run_are_those_of_a_whole_run(
    make_config: Make, tmp_path: Path, stop: int
) -> None:
    changes = {"logging_steps": 3, "validation_steps": 4, "num_validation_tasks": 4, "checkpointing_steps": 5}
    whole = make_config(output_dir=tmp_path / "whole", **changes)
    Trainer(whole).train()
    parts = make_config(output_dir=tmp_path / "parts", **changes)
    trainer = Trainer(parts)
    stop_after(trainer, stop)
    assert trainer.train().exit_code == 143
    again = {**changes, "output_dir": tmp_path / "parts", "resume_from_checkpoint": "latest"}
    Trainer(make_config(**again)).train()
    assert [row["step"] for row in lines(whole)] == [0, 3, 4, 6, 8, 8]
    assert lines(parts) == lines(whole)
    for name in ("best", "generator"):
        one, two = ((config.output_dir / name / "model.safetensors").read_bytes() for config in (whole, parts))
        assert one == two
    Trainer(make_config(**again)).train()  # a finished run
    assert lines(parts) == lines(whole)
    assert Generator.from_pretrained(tmp_path / "parts" / "generator", device="cpu").config.training["validation"]


def test_a_run_killed_anywhere_between_checkpoints_has_the_same_log(make_config: Make, tmp_path: Path) -> None:
    changes = {"logging_steps": 3, "validation_steps": 2, "num_validation_tasks": 2, "checkpointing_steps": 4}
    whole = make_config(output_dir=tmp_path / "whole", **changes)
    Trainer(whole).train()
    parts = make_config(output_dir=tmp_path / "parts", **changes)
    trainer = Trainer(parts)
    step = trainer.stepper.train_step

    def killed() -> Any:
        if trainer.stepper.step == 7:
            raise KeyboardInterrupt
        return step()

    trainer.stepper.train_step = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert lines(parts)[-1]["step"] == 6
    Trainer(make_config(output_dir=tmp_path / "parts", resume_from_checkpoint="latest", **changes)).train()
    assert lines(parts) == lines(whole)


def test_a_finished_run_can_be_lengthened_at_a_constant_learning_rate(make_config: Make, tmp_path: Path) -> None:
    constant = {"lr_scheduler_type": "constant_with_warmup"}
    whole = make_config(output_dir=tmp_path / "whole", **constant)
    Trainer(whole).train()
    Trainer(make_config(output_dir=tmp_path / "parts", max_steps=5, **constant)).train()
    longer = make_config(output_dir=tmp_path / "parts", resume_from_checkpoint="latest", **constant)
    assert Trainer(longer).train().finished
    one, two = weights(whole, 8), weights(longer, 8)
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    with pytest.raises(CheckpointError, match=r"max_steps=8 \(now 7\)"):
        start(make_config(output_dir=tmp_path / "parts", resume_from_checkpoint="latest", max_steps=7, **constant))


def test_lengthening_a_run_whose_learning_rate_falls_names_init_from(make_config: Make, tmp_path: Path) -> None:
    Trainer(make_config(max_steps=1)).train()
    with pytest.raises(
        CheckpointError, match=r"max_steps=1 \(now 2\)\. .*--init_from '.*/run/generator' --output_dir '.*/run-l"
    ):
        start(make_config(max_steps=2, resume_from_checkpoint="latest"))
    constant = {"max_steps": 2, "lr_scheduler_type": "constant_with_warmup"}
    with pytest.raises(
        CheckpointError, match=r"lr_scheduler_type='cosine' \(now .*max_steps=1 \(now 2\)\. .*--init_from"
    ):
        start(make_config(resume_from_checkpoint="latest", **constant))
    generator = tmp_path / "run" / "generator"
    assert Trainer(make_config(**constant, init_from=generator, output_dir=tmp_path / "longer")).train().finished


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
    assert start(make_config(**again, init_from=moved)) == 2
    for other in ({"init_from": starts[1]}, {}):
        with pytest.raises(CheckpointError, match=r"the generator of init_from has changed\."):
            Trainer(make_config(**again, **other))


def test_a_damaged_checkpoint_is_skipped_and_named(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config(checkpointing_steps=4)
    Trainer(config).train()
    newest = config.output_dir / "checkpoints" / "step-00000008"
    (newest / "model.safetensors").write_bytes(b"short")
    assert start(make_config(checkpointing_steps=4, resume_from_checkpoint="latest")) == 4
    assert f"'{newest}' is skipped: model.safetensors has 5 bytes" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match=r"cannot resume from .*: model.safetensors has 5 bytes"):
        Trainer(make_config(resume_from_checkpoint=newest))
    (newest.parent / "step-00000004" / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="None of the 2 checkpoints"):
        Trainer(make_config(resume_from_checkpoint="latest"))


def test_resuming_with_other_settings_or_data_is_refused(make_config: Make, world: Path, tmp_path: Path) -> None:
    import numpy as np

    Trainer(make_config(max_steps=2)).train()
    with pytest.raises(CheckpointError, match=r"learning_rate=0.002 \(now 0.5\), max_steps=2 \(now 8\)\. Resume"):
        Trainer(make_config(learning_rate=0.5, resume_from_checkpoint="latest"))
    table = dict(np.load(world / "table.npz"))
    table["vectors"] = table["vectors"] + 0.1
    np.savez(tmp_path / "other.npz", **table)
    changes = {"max_steps": 2, "resume_from_checkpoint": "latest"}
    with pytest.raises(CheckpointError, match="the encoders' vectors have changed"):
        Trainer(make_config(encoders=f"embedding-table:{tmp_path / 'other.npz'}", **changes))
    np.savez(tmp_path / "same.npz", **dict(np.load(world / "table.npz")))
    moved = make_config(encoders=f"embedding-table:{tmp_path / 'same.npz'}", logging_steps=7, **changes)
    assert start(moved) == 2


def test_a_missing_random_state_is_refused(make_config: Make) -> None:
    config = make_config(max_steps=1)
    Trainer(config).train()
    folder = config.output_dir / "checkpoints" / "step-00000001"
    manifest = read_json(folder / "manifest.json")
    del manifest["files"]["rng-00000.safetensors"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    renew_digest(folder / "manifest.json")
    (folder / "rng-00000.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no random state for process 0"):
        Trainer(make_config(max_steps=1, resume_from_checkpoint="latest"))


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_checkpoint_of_another_device_goes_on(
    make_config: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dropout: float,
) -> None:
    common = {"max_steps": 4, "dropout": dropout, "checkpointing_steps": 2}
    whole = make_config(output_dir=tmp_path / "whole", **common)
    Trainer(whole).train()
    state = checkpoint.rng_tensors()
    monkeypatch.setattr(checkpoint, "rng_tensors", lambda: {**state, "torch_cuda": torch.zeros(16, dtype=torch.uint8)})
    other = make_config(output_dir=tmp_path / "other", **common)
    Trainer(other).train()
    monkeypatch.undo()
    from_step = {
        "output_dir": tmp_path / "again",
        "resume_from_checkpoint": other.output_dir / "checkpoints/step-00000002",
    }
    again = make_config(**common, **from_step)
    assert Trainer(again).train().finished
    said = capsys.readouterr().err
    assert "Resumed on another kind of device than the one that wrote the checkpoint: " in said
    assert ("dropout draws other numbers" in said) == (dropout > 0)
    if not dropout:
        one, two = ([row["loss"] for row in log(config)] for config in (whole, again))
        assert one[2:] == two


def test_a_folder_with_a_run_is_not_overwritten_unasked(make_config: Make) -> None:
    config = make_config(max_steps=1)
    Trainer(config).train()
    with pytest.raises(ConfigError, match="already holds a run"):
        Trainer(make_config(max_steps=1))
    again = Trainer(make_config(max_steps=1, overwrite_output_dir=True))
    assert again.stepper.step == 0
    again.train()
    assert len(log(config)) == 1


def test_latest_without_checkpoint_starts_a_new_run(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(make_config(resume_from_checkpoint="latest")) == 0
    assert "training starts at step 0" in capsys.readouterr().err


def test_a_run_of_diffusion_cannot_go_on_as_flow(make_config: Make, tmp_path: Any) -> None:
    state = RunState(1, 1, 0.0, 1, make_config().to_json(), {})
    trainer = SimpleNamespace(
        config=make_config(scheduler="flow-match-euler"),
        accelerator=SimpleNamespace(num_processes=1),
        components=SimpleNamespace(fingerprints={}),
    )
    with pytest.raises(CheckpointError, match=r"scheduler='ddim' \(now 'flow-match-euler'\)"):
        resume.check_same(trainer, tmp_path, state)  # type: ignore[arg-type]


def test_settings_of_another_version_are_named(make_config: Make, tmp_path: Any) -> None:
    state = RunState(1, 1, 0.0, 1, make_config().to_json() | {"recall": False}, {})
    trainer = SimpleNamespace(config=make_config())
    with pytest.raises(
        CheckpointError, match=r"by another version, with settings that this one lacks: recall\. Resume with"
    ):
        resume.check_same(trainer, tmp_path, state)  # type: ignore[arg-type]


def test_another_sampler_of_the_same_noise_process_may_go_on() -> None:
    folder = Path("checkpoint-1")
    assert not resume._other_noise_process(folder, "ddim", "ddpm")
    assert not resume._other_noise_process(folder, "no-longer-installed", "no-longer-installed")
    assert resume._other_noise_process(folder, "flow-match-euler", "ddpm")
    with pytest.raises(
        CheckpointError, match=r"'checkpoint-1' was written with the scheduler 'gone'.* Unknown scheduler"
    ):
        resume._other_noise_process(folder, "gone", "ddim")


@pytest.fixture
def everything(teacher_file: Path) -> dict[str, Any]:
    """Whitened coordinates, a teacher, two draws of each task, and shifted pictures."""
    return {
        "whitening": 0.1,
        "teacher": teacher_file,
        "draws_per_task": 2,
        "input_floor": 1,
        "image_shift": 2,
        "max_steps": 4,
    }


def test_a_run_with_everything_resumes_exactly_and_keeps_its_coordinates(
    make_config: Make, tmp_path: Path, everything: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_config(output_dir=tmp_path / "whole", **everything)
    Trainer(whole).train()
    parts = make_config(output_dir=tmp_path / "parts", **everything)
    trainer = Trainer(parts)
    stop_after(trainer, 2)
    trainer.train()
    # Another device would compute other factors, so they are read from the checkpoint.
    monkeypatch.setattr("tina_framework.training.coordinates.fit_whitening", None)
    Trainer(make_config(output_dir=tmp_path / "parts", resume_from_checkpoint="latest", **everything)).train()
    one, two = weights(whole, 4), weights(parts, 4)
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert lines(parts) == lines(whole)
    files = [config.output_dir / "generator" / "model.safetensors" for config in (whole, parts)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_another_teacher_or_none_cannot_resume_a_run(
    make_config: Make, tmp_path: Path, everything: dict[str, Any], teacher_file: Path
) -> None:
    Trainer(make_config(**{**everything, "max_steps": 1})).train()
    again = {**everything, "max_steps": 1, "resume_from_checkpoint": "latest"}
    teacher = Teacher.load(teacher_file)
    replace(teacher, logits=-teacher.logits).save(tmp_path / "other.safetensors")
    for other in (tmp_path / "other.safetensors", None):
        with pytest.raises(CheckpointError, match="other data: the teacher has changed"):
            start(make_config(**{**again, "teacher": other}))
    teacher.save(tmp_path / "moved.safetensors")
    assert start(make_config(**{**again, "teacher": tmp_path / "moved.safetensors"})) == 1
