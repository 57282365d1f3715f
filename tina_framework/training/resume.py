"""Which state of a run a checkpoint holds, and how a run continues from it without any difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tina_framework.config.fields import may_change
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError, TinaError
from tina_framework.generator.scheduler import noise_process_named
from tina_framework.storage.files import check_tensors, read_json, read_safetensors
from tina_framework.training import checkpoint
from tina_framework.training.optimizer import load_optimizer, optimizer_tensors

if TYPE_CHECKING:
    from tina_framework.training.loop import Trainer

__all__ = ["contents", "find_checkpoint", "restore"]

_CONTENTS = {
    "zoo": "the zoo's models have",
    "vectors": "the encoders' vectors have",
    "images": "the training images have",
    "start": "the generator it started from (init_from) has",
}
"""What is compared by content -> how to say that it differs."""

_MOMENTS = "optimizer.safetensors"


def find_checkpoint(config: TrainingConfig, say: Callable[[str], None]) -> Path | None:
    """Return the checkpoint to start from, None for a fresh start.

    Raises:
        ConfigError: the output folder holds a run and the configuration does not say what to do with it.
        CheckpointError: the checkpoint asked for is unusable, or all are.
    """
    root, wanted = config.output_dir / "checkpoints", config.resume_from_checkpoint
    if wanted is None:
        if checkpoint.list_checkpoints(root) and not config.overwrite_output_dir:
            raise ConfigError(
                f"'{config.output_dir}' holds a run already. Go on with it (--resume_from_checkpoint latest), replace it "
                "(--overwrite_output_dir true), or choose another output_dir."
            )
        return None
    if wanted != "latest":
        elsewhere = Path(wanted).resolve().parent != root.resolve()
        if elsewhere and checkpoint.list_checkpoints(root) and not config.overwrite_output_dir:
            raise ConfigError(
                f"'{config.output_dir}' holds another run than the checkpoint '{wanted}'; choose another output_dir, or "
                "replace that run (--overwrite_output_dir true)."
            )
        reason = checkpoint.problem_with(Path(wanted)) if Path(wanted).is_dir() else "there is no such folder"
        if reason is not None:
            raise CheckpointError(f"'{wanted}' cannot be resumed from: {reason}. Use another checkpoint, or 'latest'.")
        return Path(wanted)
    found, skipped = checkpoint.find_latest(root)
    for sentence in skipped:
        say(sentence)
    if found is None and skipped:
        raise CheckpointError(
            f"None of the {len(skipped)} checkpoints in '{root}' is usable. {skipped[0]} "
            "Start anew with --overwrite_output_dir true and without resume_from_checkpoint."
        )
    if found is None:
        say(f"There is no checkpoint in '{root}' yet: training starts at step 0.")
    return found


def contents(trainer: Trainer) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Tensors by file, and the JSON state."""
    tensors: dict[str, dict[str, Tensor]] = {
        "model": {name: p.detach() for name, p in trainer.stepper.denoiser.named_parameters()},
        "ema": trainer.stepper.ema.state_dict(),
    }
    moments = optimizer_tensors(trainer.stepper.optimizer.optimizer, trainer.stepper.denoiser)
    if moments:  # none before the first step
        tensors["optimizer"] = moments
    scaler = trainer.accelerator.scaler
    state = {
        "step": trainer.stepper.step,
        "ema_updates": trainer.stepper.ema.updates,
        "seconds": trainer.seconds,
        "best": trainer.best,
        "processes": trainer.accelerator.num_processes,
        "scaler": scaler.state_dict() if scaler is not None else None,
        "config": trainer.config.to_json(),
        "fingerprints": trainer.components.fingerprints,
    }
    return tensors, state


def restore(trainer: Trainer, folder: Path) -> None:
    """Puts a run where the checkpoint was written.

    Raises:
        CheckpointError: the checkpoint is of another configuration, other data or another number of processes.
    """
    state = read_json(folder / "state.json")
    _check_same(trainer, folder, state)
    shapes = {name: tuple(p.shape) for name, p in trainer.stepper.denoiser.named_parameters()}
    weights, average = (read_safetensors(folder / f"{name}.safetensors") for name in ("model", "ema"))
    for tensors, name in ((weights, "model"), (average, "ema")):
        check_tensors(tensors, shapes, f"'{folder / name}.safetensors'")
    trainer.stepper.denoiser.load_state_dict(weights)
    trainer.stepper.ema.load(average, state["ema_updates"])
    has_moments = (folder / _MOMENTS).is_file()
    moments = read_safetensors(folder / _MOMENTS) if has_moments or state["step"] > 0 else {}
    load_optimizer(trainer.stepper.optimizer.optimizer, trainer.stepper.denoiser, moments)
    if trainer.accelerator.scaler is not None and state["scaler"] is not None:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    trainer.stepper.step, trainer.seconds, trainer.best = state["step"], state["seconds"], state["best"]
    trainer.saved_at = state["step"] if folder.resolve().parent == trainer.root.resolve() else None
    checkpoint.set_rng(checkpoint.read_rng(folder, trainer.accelerator.process_index))


def _check_same(trainer: Trainer, folder: Path, state: dict[str, Any]) -> None:
    now, then = trainer.config.to_json(), state["config"]
    # A setting that did not exist yet stood at what is its default now: new ones change nothing unless asked for.
    then = {name: field.default for name, field in TrainingConfig.model_fields.items() if name not in then} | then
    different = [
        f"{name}={then.get(name)!r} (now {now.get(name)!r})"
        for name in sorted((now.keys() | then.keys()) - may_change(TrainingConfig))
        if now.get(name) != then.get(name)
    ]
    if _other_noise_process(folder, then["scheduler"], now["scheduler"]):
        different.append(f"scheduler={then['scheduler']!r} (now {now['scheduler']!r})")
    if state["processes"] != trainer.accelerator.num_processes:
        different.append(f"{state['processes']} processes (now {trainer.accelerator.num_processes})")
    if different:
        raise CheckpointError(
            f"Checkpoint '{folder}' was written with {', '.join(different)}; resume with the same, or start a new run in "
            "another output_dir."
        )
    ours, theirs = trainer.components.fingerprints, state["fingerprints"]
    for what in [*_CONTENTS, *sorted((ours.keys() | theirs.keys()) - _CONTENTS.keys())]:
        if ours.get(what) != theirs.get(what):
            raise CheckpointError(
                f"Checkpoint '{folder}' was trained with other data: {_CONTENTS.get(what, what)} changed since. Resume with "
                "the same data, or start a new run in another output_dir."
            )


def _other_noise_process(folder: Path, then: str, now: str) -> bool:
    """Return whether two schedulers sample different noise processes. Within one process, the sampler may change."""
    if then == now:
        return False
    try:
        return noise_process_named(then) != noise_process_named(now)
    except TinaError as error:
        raise CheckpointError(
            f"Checkpoint '{folder}' was written with the scheduler '{then}'. It cannot be compared with '{now}': {error}"
        ) from error
