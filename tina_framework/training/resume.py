"""The state of a run in a checkpoint, and the exact continuation of the run from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from tina_framework import __version__
from tina_framework.config.fields import may_change
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError, TinaError, shorten
from tina_framework.generator.scheduler import noise_process_named
from tina_framework.interfaces.randomness import generator_at
from tina_framework.storage.files import check_tensors
from tina_framework.storage.paths import user_path
from tina_framework.training import checkpoint, shard_files
from tina_framework.training.collectives import check_alike, on_all, on_main, tensors_of_main
from tina_framework.training.export import git_commit
from tina_framework.training.optimizer import empty_moments, follows_max_steps, load_optimizer, optimizer_tensors
from tina_framework.training.relatives import recorded_shares
from tina_framework.training.run_folder import CHECKPOINTS, FINISHED
from tina_framework.training.run_state import RunState, read_state
from tina_framework.training.sharding import local
from tina_framework.training.validation import ValidationResult

if TYPE_CHECKING:
    from tina_framework.training.components import TrainingComponents
    from tina_framework.training.loop import Trainer
    from tina_framework.training.step import Stepper

__all__ = [
    "Source",
    "check_same",
    "choose",
    "coordinates",
    "find_checkpoint",
    "fingerprints",
    "flat",
    "is_own",
    "restore",
    "shared_settings",
    "state",
    "tensors",
    "whitening_factors",
]

_FINGERPRINTS = {
    "zoo": "the zoo's models have",
    "vectors": "the encoders' vectors have",
    "images": "the training images have",
    "teacher": "the teacher has",
    "start": "the generator of init_from has",
}
"""Names of fingerprints -> subject and verb of the message that they differ."""

_WEIGHTS = ("model", "ema")
_MOMENTS = "optimizer"

_WHITENING = "whitening"
"""File of the factors of whitened coordinates. Another device would compute other last digits."""

_OF_A_MACHINE = frozenset(
    {
        "dataset",
        "default_encoder",
        "encoders",
        "init_from",
        "output_dir",
        "resume_from_checkpoint",
        "target_workers",
        "teacher",
        "zoo",
        "zoos",
    }
)
"""Settings that may differ between the machines of a run: they name files, or follow the number of processors."""


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


def tensors(stepper: Stepper) -> dict[str, dict[str, Tensor]]:
    """Return the tensors to store, by file. They may be sharded."""
    found: dict[str, dict[str, Tensor]] = {
        "model": {name: p.detach() for name, p in stepper.denoiser.named_parameters()},
        "ema": stepper.ema.state_dict(),
    }
    moments = optimizer_tensors(stepper.optimizer.optimizer, stepper.denoiser)
    if moments:  # empty before the first step
        found[_MOMENTS] = moments
    return found


def coordinates(trainer: Trainer) -> dict[str, dict[str, Tensor]]:
    """Return the factors of the setting `whitening` to store, by file. Those of a known start are in its folder."""
    found: dict[str, Tensor] = {}
    for target in trainer.targets:
        name, whitening = target.spec.architecture.name, target.context.normalizer.whitening
        if whitening is None or (target.start is not None and target.start.known_target(name) is not None):
            continue
        prefix = f"{name}/" if len(trainer.targets) > 1 else ""
        found |= {f"{prefix}{factor}": tensor for factor, tensor in whitening.factors.items()}
    return {_WHITENING: found} if found else {}


def whitening_factors(source: Source, architecture: str | None = None) -> dict[str, Tensor]:
    """Return the factors that a checkpoint holds; empty if it holds none.

    Args:
        source: the checkpoint.
        architecture: the one whose factors to return, in a run of several; None: the run has one.
    """
    files = checkpoint.read_manifest(source.folder)
    if f"{_WHITENING}.safetensors" not in files:
        return {}
    found = checkpoint.read_tensors(source.folder, _WHITENING, files)
    prefix = "" if architecture is None else f"{architecture}/"
    return {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}


def fingerprints(targets: Sequence[TrainingComponents]) -> dict[str, str]:
    """Return the fingerprints of a run. The zoos of several architectures have one together."""
    found = dict(targets[0].fingerprints)
    if len(targets) > 1:
        own = [[target.spec.architecture.name, target.fingerprints["zoo"]] for target in targets]
        found["zoo"] = hashlib.sha256(json.dumps(own).encode()).hexdigest()
    return found


def flat(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of all files as FILE/NAME -> tensor."""
    return {f"{file}/{name}": tensor for file, named in tensors.items() for name, tensor in named.items()}


def state(trainer: Trainer) -> RunState:
    """Return what else to store of a run."""
    scaler = trainer.accelerator.scaler
    validated, figures = trainer.validated
    return RunState(
        step=trainer.stepper.step,
        ema_updates=trainer.stepper.ema.updates,
        seconds=trainer.seconds,
        processes=trainer.accelerator.num_processes,
        config=trainer.config.to_json(),
        fingerprints=fingerprints(trainer.targets),
        log_lines=trainer.log.lines,
        log_sha256=trainer.log.sha256,
        window=trainer.window,
        best=trainer.best,
        validation=None if figures is None else {"step": validated, **figures.to_json()},
        scaler=scaler.state_dict() if scaler is not None else None,
    )


def shared_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return what all processes of a run must have alike before they start: settings and versions.

    Folders and files may lie elsewhere on each machine. Their contents are compared later, by their fingerprints.
    """
    values = {name: value for name, value in config.to_json().items() if name not in _OF_A_MACHINE}
    return {**values, "tina-framework": __version__, "git commit": git_commit(), "torch": torch.__version__}


@dataclass(frozen=True)
class Source:
    """The checkpoint that the main process chose to resume from.

    Attributes:
        folder: its folder on the machine of the main process. Other machines need not have it.
        own: whether it lies in the output folder of the run, and not in that of another run.
    """

    folder: Path
    own: bool


def choose(trainer: Trainer) -> Source | None:
    """Let the main process choose the checkpoint to resume from. All processes must call this.

    Raises:
        TinaError: as for `find_checkpoint`, in all processes.
    """

    def found() -> list[Any] | None:
        folder = find_checkpoint(trainer.config, trainer.log.notify)
        return None if folder is None else [str(folder), is_own(trainer.config, folder)]

    chosen = on_main(trainer.accelerator, found)
    return None if chosen is None else Source(Path(chosen[0]), chosen[1])


def restore(trainer: Trainer, source: Source) -> None:
    """Restore the state in which a run wrote a checkpoint. All processes must call this.

    The main process reads the checkpoint, and sends the others all that they need.

    Raises:
        CheckpointError: the settings or the data differ from those of the checkpoint, or it is damaged.
        ConfigError: the processes did not restore the same state.
    """
    accelerator, stepper, folder = trainer.accelerator, trainer.stepper, source.folder

    def read() -> dict[str, Any]:
        state, files = read_state(folder / checkpoint.STATE), checkpoint.read_manifest(folder)
        if checkpoint.checkpoint_name(state.step) != folder.resolve().name:
            raise CheckpointError(f"Checkpoint '{folder}' is of step {state.step}. Give the folder its own name again.")
        check_same(trainer, folder, state)
        for process in range(state.processes):
            if f"{checkpoint.rng_name(process)}.safetensors" not in files:
                raise CheckpointError(
                    f"Checkpoint '{folder}' has no random state for process {process}. Use another one."
                )
        return {"state": state.to_json(), "files": files}

    found = on_main(accelerator, read)
    state, files = RunState.from_json(found["state"]), found["files"]

    def tensors_of(name: str) -> dict[str, Tensor]:
        def read() -> dict[str, Tensor]:
            in_shards = shard_files.holds_shards(files) and name in (*_WEIGHTS, _MOMENTS)
            tensors = (
                shard_files.read_whole(folder, name) if in_shards else checkpoint.read_tensors(folder, name, files)
            )
            if name in _WEIGHTS:
                check_tensors(tensors, shapes, f"'{folder / name}.safetensors'")
            return tensors

        return tensors_of_main(accelerator, read)

    shapes = {name: tuple(p.shape) for name, p in stepper.denoiser.named_parameters()}
    if stepper.sharded and shard_files.holds_shards(files):
        _restore_parts(trainer, folder, state)
    else:
        # Each file is released before the next one is read: together they take several times the memory of the weights.
        stepper.load_weights(tensors_of("model"))
        stepper.ema.load(tensors_of("ema"), state.ema_updates)
        has_moments = f"{_MOMENTS}.safetensors" in files or state.step > 0
        load_optimizer(stepper.optimizer.optimizer, stepper.denoiser, tensors_of(_MOMENTS) if has_moments else {})
    if accelerator.scaler is not None and state.scaler is not None:
        accelerator.scaler.load_state_dict(state.scaler)
    stepper.step, trainer.seconds, trainer.best = state.step, state.seconds, state.best
    trainer.window = state.window
    if state.validation is not None:
        figures = ValidationResult.from_json(state.validation)
        trainer.validated = state.validation["step"], figures
        for target in trainer.targets:
            recorded_shares(figures.by_architecture, target)
    random_states = [tensors_of(checkpoint.rng_name(process)) for process in range(state.processes)]
    trainer.log.notify(f"Resumed from '{folder}' at step {state.step}.")
    _restore_random_state(trainer, state, random_states)
    if source.own:
        trainer.saved_at = state.step
        trainer.log.lines, trainer.log.expected = state.log_lines, state.log_sha256
    restored = {
        "step": stepper.step,
        "checkpoint": _sha256(files),
        "settings": _sha256(shared_settings(trainer.config)),
    }
    check_alike(accelerator, {**restored, **fingerprints(trainer.targets)})


def _restore_parts(trainer: Trainer, folder: Path, state: RunState) -> None:
    """Read this process's part of sharded weights, averages and moments. The number of processes may be another one."""
    stepper, accelerator = trainer.stepper, trainer.accelerator
    on_all(accelerator, lambda: shard_files.check_visible(folder))
    moments = empty_moments(stepper.optimizer.optimizer, stepper.denoiser) if state.step > 0 else {}
    parts = flat({**tensors(stepper), _MOMENTS: moments})

    def read() -> None:
        shard_files.read_parts(folder, parts)
        mine = {name: local(tensor) for name, tensor in parts.items() if not name.startswith(f"{_MOMENTS}/")}
        check_tensors(mine, {name: tuple(part.shape) for name, part in mine.items()}, f"Checkpoint '{folder}'")

    on_all(accelerator, read)
    stepper.ema.updates = state.ema_updates
    load_optimizer(stepper.optimizer.optimizer, stepper.denoiser, moments)


def _sha256(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _restore_random_state(trainer: Trainer, state: RunState, random_states: list[dict[str, Tensor]]) -> None:
    """Restore the global random state of this process, or seed it anew if the run had other processes or devices.

    Only dropout uses it, so without dropout the result does not depend on it.
    """
    config, processes, rank = trainer.config, trainer.accelerator.num_processes, trainer.accelerator.process_index
    fits = state.processes == processes and checkpoint.set_rng(random_states[rank])
    # Every process must know whether some process seeded anew, because only the main one prints.
    fits = all(gather_object([fits]))
    if fits:
        return
    torch.manual_seed(generator_at(config.seed, "dropout", state.step, rank).initial_seed())
    if state.processes != processes:
        what = f"on {_count(processes)}; the checkpoint was written by {state.processes}"
        effect = "the losses are the same up to the rounding of float sums"
    else:
        what = "on another kind of device than the one that wrote the checkpoint"
        effect = "the losses are the same up to the rounding of that device"
    if config.dropout > 0:
        effect = "dropout draws other numbers from here on, so the losses differ slightly from those of the first run"
    trainer.log.notify(f"Resumed {what}: {effect}.")


def _count(processes: int) -> str:
    return f"{processes} process{'es' * (processes > 1)}"


def is_own(config: TrainingConfig, folder: Path) -> bool:
    """Return whether a checkpoint lies in the output folder of the run, and not in that of another run."""
    return folder.resolve().parent == (config.output_dir / CHECKPOINTS).resolve()


def check_same(trainer: Trainer, folder: Path, state: RunState) -> None:
    """Raise CheckpointError unless the run continues with the same settings and data."""
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
    different = [
        name
        for name in sorted(now.keys() - ignored)
        if _comparable(name, now.get(name)) != _comparable(name, then.get(name))
    ]
    said = [f"{name}={shorten(then.get(name))} (now {shorten(now.get(name))})" for name in different]
    if _other_noise_process(folder, then["scheduler"], now["scheduler"]):
        said.append(f"scheduler={then['scheduler']!r} (now {now['scheduler']!r})")
    if said:
        advice = _start_anew(folder) if {"max_steps", "lr_scheduler_type"} & set(different) else ""
        raise CheckpointError(
            f"Checkpoint '{folder}' was written with {', '.join(said)}. Resume with the same values, or start a new "
            f"run in another output_dir.{advice}"
        )
    ours, theirs = fingerprints(trainer.targets), state.fingerprints
    for what in [*_FINGERPRINTS, *sorted((ours.keys() | theirs.keys()) - _FINGERPRINTS.keys())]:
        if ours.get(what) != theirs.get(what):
            raise CheckpointError(
                f"Checkpoint '{folder}' was trained with other data: {_FINGERPRINTS.get(what, what)} changed. Resume with "
                "the same data, or start a new run in another output_dir."
            )


def _comparable(name: str, value: Any) -> Any:
    """Return a setting as it is compared. The first architecture is the default one, so their order counts."""
    return list(value.items()) if name == "architectures" and isinstance(value, dict) else value


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
