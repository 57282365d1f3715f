"""The state of a run in a checkpoint, and the exact continuation of the run from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from tina_framework.config.fields import may_change
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError, TinaError, shorten
from tina_framework.generator.scheduler import noise_process_named
from tina_framework.storage.files import check_tensors
from tina_framework.storage.paths import user_path
from tina_framework.training import checkpoint
from tina_framework.training.optimizer import follows_max_steps, load_optimizer, optimizer_tensors
from tina_framework.training.run_folder import CHECKPOINTS, FINISHED
from tina_framework.training.run_state import RunState, read_state
from tina_framework.training.validation import ValidationResult

if TYPE_CHECKING:
    from tina_framework.training.loop import Trainer

__all__ = ["check_same", "contents", "find_checkpoint", "is_own", "restore"]

_FINGERPRINTS = {
    "zoo": "the zoo's models have",
    "vectors": "the encoders' vectors have",
    "images": "the training images have",
    "start": "the generator of init_from has",
}
"""Names of fingerprints -> subject and verb of the message that they differ."""

_MOMENTS = "optimizer"


def find_checkpoint(config: TrainingConfig, notify: Callable[[str], None]) -> Path | None:
    """Return the checkpoint to resume from, or None to start a new run.

    Args:
        config: the training settings.
        notify: called with a sentence for the user, for example about a damaged checkpoint.

    Raises:
        ConfigError: the output folder holds a run, and the settings neither resume nor overwrite it.
        CheckpointError: the requested checkpoint is unusable, or all checkpoints are.
    """
    root, wanted = config.output_dir / CHECKPOINTS, config.resume_from_checkpoint
    finished = (config.output_dir / FINISHED).is_dir()
    if wanted is None:
        if (checkpoint.list_checkpoints(root) or finished) and not config.overwrite_output_dir:
            raise ConfigError(
                f"'{config.output_dir}' already holds a run. Resume it (--resume_from_checkpoint latest), replace it "
                "(--overwrite_output_dir true), or choose another output_dir."
            )
        return None
    if wanted != "latest":
        # A checkpoint of another folder starts a branch here, which would mix with a run that is already here.
        own = is_own(config, user_path(wanted))
        if not own and checkpoint.list_checkpoints(root) and not config.overwrite_output_dir:
            raise ConfigError(
                f"'{config.output_dir}' holds a run that the checkpoint '{wanted}' is not part of. Choose another output_dir, "
                "or replace that run (--overwrite_output_dir true)."
            )
        reason = checkpoint.problem_with(user_path(wanted)) if user_path(wanted).is_dir() else "there is no such folder"
        if reason is not None:
            raise CheckpointError(
                f"Training cannot resume from '{wanted}': {reason}. Use another checkpoint, or 'latest'."
            )
        return user_path(wanted)
    found, skipped = checkpoint.find_latest(root)
    for sentence in skipped:
        notify(sentence)
    if found is None and skipped:
        raise CheckpointError(
            f"None of the {len(skipped)} checkpoints in '{root}' is usable. {skipped[0]} "
            "Start again with --overwrite_output_dir true and without resume_from_checkpoint."
        )
    if found is None and finished and not config.overwrite_output_dir:
        raise CheckpointError(
            f"'{config.output_dir}' holds a generator but no checkpoint to resume from. Choose another output_dir, perhaps with "
            f"--init_from '{config.output_dir / FINISHED}', or replace the run (--overwrite_output_dir true)."
        )
    if found is None:
        notify(f"There is no checkpoint in '{root}' yet: training starts at step 0.")
    return found


def contents(trainer: Trainer) -> tuple[dict[str, dict[str, Tensor]], RunState]:
    """Return what to store of a run: the tensors of each file, and its state."""
    tensors: dict[str, dict[str, Tensor]] = {
        "model": {name: p.detach() for name, p in trainer.stepper.denoiser.named_parameters()},
        "ema": trainer.stepper.ema.state_dict(),
    }
    moments = optimizer_tensors(trainer.stepper.optimizer.optimizer, trainer.stepper.denoiser)
    if moments:  # empty before the first step
        tensors[_MOMENTS] = moments
    scaler = trainer.accelerator.scaler
    validated, figures = trainer.validated
    state = RunState(
        step=trainer.stepper.step,
        ema_updates=trainer.stepper.ema.updates,
        seconds=trainer.seconds,
        processes=trainer.accelerator.num_processes,
        config=trainer.config.to_json(),
        fingerprints=trainer.components.fingerprints,
        log_lines=trainer.log.lines,
        log_sha256=trainer.log.sha256,
        window=trainer.window,
        best=trainer.best,
        validation=None if figures is None else {"step": validated, **figures.to_json()},
        scaler=scaler.state_dict() if scaler is not None else None,
    )
    return tensors, state


def restore(trainer: Trainer, folder: Path) -> None:
    """Restore the state in which a run wrote a checkpoint.

    Raises:
        CheckpointError: the settings, the data or the number of processes differ from those of the checkpoint.
    """
    state, files = read_state(folder / checkpoint.STATE), checkpoint.read_manifest(folder)
    if checkpoint.checkpoint_name(state.step) != folder.resolve().name:
        raise CheckpointError(f"Checkpoint '{folder}' is of step {state.step}. Give the folder its own name again.")
    check_same(trainer, folder, state)
    process = trainer.accelerator.process_index
    if f"{checkpoint.rng_name(process)}.safetensors" not in files:
        raise CheckpointError(
            f"Checkpoint '{folder}' has no random state for process {process}. Resume with as many processes as wrote it."
        )
    shapes = {name: tuple(p.shape) for name, p in trainer.stepper.denoiser.named_parameters()}
    weights, average = (checkpoint.read_tensors(folder, name, files) for name in ("model", "ema"))
    for tensors, name in ((weights, "model"), (average, "ema")):
        check_tensors(tensors, shapes, f"'{folder / name}.safetensors'")
    trainer.stepper.denoiser.load_state_dict(weights)
    trainer.stepper.ema.load(average, state.ema_updates)
    has_moments = f"{_MOMENTS}.safetensors" in files or state.step > 0
    moments = checkpoint.read_tensors(folder, _MOMENTS, files) if has_moments else {}
    load_optimizer(trainer.stepper.optimizer.optimizer, trainer.stepper.denoiser, moments)
    if trainer.accelerator.scaler is not None and state.scaler is not None:
        trainer.accelerator.scaler.load_state_dict(state.scaler)
    trainer.stepper.step, trainer.seconds, trainer.best = state.step, state.seconds, state.best
    trainer.window = state.window
    if state.validation is not None:
        trainer.validated = state.validation["step"], ValidationResult.from_json(state.validation)
    checkpoint.set_rng(checkpoint.read_tensors(folder, checkpoint.rng_name(process), files))
    if is_own(trainer.config, folder):
        trainer.saved_at = state.step
        trainer.log.lines, trainer.log.expected = state.log_lines, state.log_sha256


def is_own(config: TrainingConfig, folder: Path) -> bool:
    """Return whether a checkpoint lies in the output folder of the run, and not in that of another run."""
    return folder.resolve().parent == (config.output_dir / CHECKPOINTS).resolve()


def check_same(trainer: Trainer, folder: Path, state: RunState) -> None:
    """Raise CheckpointError unless the run continues with the same settings, data and number of processes."""
    now, then = trainer.config.to_json(), state.config
    # A setting that is newer than the checkpoint has a default that changes nothing, so old checkpoints stay usable.
    then = {name: field.default for name, field in TrainingConfig.model_fields.items() if name not in then} | then
    unknown = sorted(then.keys() - now.keys())
    if unknown:
        raise CheckpointError(
            f"Checkpoint '{folder}' was written by another version, with settings that this one lacks: {', '.join(unknown)}. "
            "Resume with the version that wrote it, or start a new run from its generator with init_from."
        )
    ignored = may_change(TrainingConfig)
    # The steps so far do not depend on how many follow, if the learning rate does not.
    same_schedule = now["lr_scheduler_type"] == then["lr_scheduler_type"]
    if same_schedule and not follows_max_steps(trainer.config) and trainer.config.max_steps >= state.step:
        ignored |= {"max_steps"}
    different = [name for name in sorted(now.keys() - ignored) if now.get(name) != then.get(name)]
    said = [f"{name}={shorten(then.get(name))} (now {shorten(now.get(name))})" for name in different]
    if _other_noise_process(folder, then["scheduler"], now["scheduler"]):
        said.append(f"scheduler={then['scheduler']!r} (now {now['scheduler']!r})")
    if state.processes != trainer.accelerator.num_processes:
        said.append(f"{state.processes} processes (now {trainer.accelerator.num_processes})")
    if said:
        advice = _start_anew(folder) if {"max_steps", "lr_scheduler_type"} & set(different) else ""
        raise CheckpointError(
            f"Checkpoint '{folder}' was written with {', '.join(said)}. Resume with the same values, or start a new "
            f"run in another output_dir.{advice}"
        )
    ours, theirs = trainer.components.fingerprints, state.fingerprints
    for what in [*_FINGERPRINTS, *sorted((ours.keys() | theirs.keys()) - _FINGERPRINTS.keys())]:
        if ours.get(what) != theirs.get(what):
            raise CheckpointError(
                f"Checkpoint '{folder}' was trained with other data: {_FINGERPRINTS.get(what, what)} changed. Resume with "
                "the same data, or start a new run in another output_dir."
            )


def _start_anew(folder: Path) -> str:
    """Return how to train longer where the learning rate depends on the number of steps."""
    run = folder.parent.parent
    generator, longer = run / FINISHED, run.with_name(f"{run.name}-longer")
    return (
        " The learning rate depends on max_steps, unless lr_scheduler_type is constant_with_warmup. To train its generator "
        f"further, replace resume_from_checkpoint by: --init_from '{generator}' --output_dir '{longer}'"
    )


def _other_noise_process(folder: Path, then: str, now: str) -> bool:
    """Return whether two schedulers sample different noise processes, of which a denoiser is trained for one only."""
    if then == now:
        return False
    try:
        return noise_process_named(then) != noise_process_named(now)
    except TinaError as error:
        raise CheckpointError(
            f"Checkpoint '{folder}' was written with the scheduler '{then}'. It cannot be compared with '{now}': {error}"
        ) from error
