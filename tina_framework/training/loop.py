"""The training loop: steps, validation, checkpoints, logging and export."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.targets.allocator import keep_freed_memory
from tina_framework.training import checkpoint, resume, shard_files
from tina_framework.training.collectives import check_alike, on_all, on_main, tensors_of_main
from tina_framework.training.components import TrainingComponents, build_components
from tina_framework.training.coordinates import damping_of, whitening_factors
from tina_framework.training.data import TrainingImages
from tina_framework.training.export import git_commit, make_generator, recipe
from tina_framework.training.interrupt import StopRequest
from tina_framework.training.liveness import watch_of
from tina_framework.training.optimizer import learning_rate
from tina_framework.training.processes import connect, connected
from tina_framework.training.relatives import choose_shares
from tina_framework.training.run_folder import BEST, CHECKPOINTS, FINISHED, describe, forget_run, hold
from tina_framework.training.run_inputs import RunInputs, load_images, open_targets
from tina_framework.training.run_log import RunLog
from tina_framework.training.run_state import LogWindow
from tina_framework.training.sharding import check_settings, take_request
from tina_framework.training.shared_images import shared_images
from tina_framework.training.step import Stepper, check_batches
from tina_framework.training.validation import ValidationResult, Validator, mean_over
from tina_framework.zoo.small_data import reservation_note

__all__ = ["Outcome", "Trainer"]


@dataclass(frozen=True)
class Outcome:
    """The result of a training run.

    Attributes:
        step: number of optimizer steps.
        finished: whether all `max_steps` steps were done.
        generator: folder of the exported generator.
        validation: its validation figures, or None without validation.
        exit_code: 0, or 128 and the number of the signal that stopped the run.
    """

    step: int
    finished: bool
    generator: Path
    validation: ValidationResult | None
    exit_code: int = 0


class Trainer:
    """A training run, in one of its processes. It holds the lock of the output folder until `train` or `close` ends.

    Args:
        config: the training settings.

    Attributes:
        stepper: the weights, their average, the optimizer and the number of steps.
        components: everything else that the run consists of, for its first architecture.
        targets: the same for every architecture, the first one included.
        seconds: time spent in steps, including the steps before a resume.
        best: step and accuracy of the best validation, None before the first one.
        validated: step and figures of the last validation, -1 and None before the first one.
        window: the steps since the last line of the log.
        saved_at: step of the newest checkpoint in the output folder, None if there is none.

    Raises:
        TinaError: the settings do not fit the data, the zoo, the checkpoint or the machine.
    """

    def __init__(self, config: TrainingConfig) -> None:
        git_commit()  # cached now, because the source tree may change while the run lasts
        self.config = config
        self.root = config.output_dir / CHECKPOINTS
        self.log = RunLog(config.output_dir, config.max_steps, os.environ.get("RANK", "0") == "0", self._track)
        self.sharding = take_request()
        self.accelerator = connect(config, self.log.notify)
        self.stop = StopRequest(self.accelerator, config.max_seconds)
        self.is_main = self.log.active = bool(self.accelerator.is_main_process)
        if self.accelerator.device.type == "cpu":
            keep_freed_memory()  # every step allocates the same tensors
        if self.accelerator.num_processes == 1 and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
            self.log.notify(
                "Several processes were requested, but only one was started, because `accelerate launch` needs MPI to start "
                "several on a CPU. Use `accelerate launch --multi_gpu --num_processes N`, which also works on CPUs, or torchrun."
            )
        if self.sharding is not None and self.accelerator.num_processes == 1:
            self.log.notify("FSDP was requested, but there is one process, so nothing is sharded.")
        self.seconds = 0.0
        self.best: dict[str, Any] | None = None
        self.validated: tuple[int, ValidationResult | None] = (-1, None)
        self.window = LogWindow()
        self.saved_at: int | None = None
        self._validators: list[Validator] = []
        with contextlib.ExitStack() as stack, connected(self.accelerator):
            check_batches(config, self.accelerator.num_processes)
            if self.sharding is not None and self.accelerator.num_processes > 1:
                check_settings(config)
            # Checked first: processes with different settings would reach different exchanges and wait for each other forever.
            check_alike(self.accelerator, resume.shared_settings(config))
            on_main(self.accelerator, lambda: stack.enter_context(hold(config)))
            self._source = resume.choose(self)
            device = self.accelerator.device
            needed = config.task_weight > 0
            inputs = on_all(self.accelerator, lambda: open_targets(config))
            with shared_images(self.accelerator, lambda: load_images(inputs[0], device), needed) as images:
                whitens = any(damping_of(target) is not None for target in inputs)
                if images is None and needed and (whitens or len(inputs) > 1):
                    images = on_all(self.accelerator, lambda: load_images(inputs[0], device))
                factors = [
                    tensors_of_main(self.accelerator, functools.partial(self._factors, target, len(inputs) > 1, images))
                    for target in inputs
                ]
                self.targets = on_all(self.accelerator, lambda: _build_all(inputs, device, images, factors))
            self.components = self.targets[0]
            self.config = config = self.components.config
            check_alike(self.accelerator, resume.fingerprints(self.targets))
            self.log.total = config.max_steps  # the default follows the number of classes
            note = reservation_note(len(self.components.seen_classes), config.class_counts)
            if note is not None:
                self.log.notify(note)
            self.stepper = Stepper(
                config,
                self.accelerator,
                self.components.denoiser,
                [target.track for target in self.targets],
                self.sharding,
            )
            self.stepper.own_request = self.stop.own
            # Only dropout uses the global random state; all other draws have generators of their own (`randomness`).
            torch.manual_seed(config.seed * 1000 + self.accelerator.process_index)
            if self._source is not None:
                resume.restore(self, self._source)
            self._held = stack.pop_all()  # `close` releases the folder

    def _factors(self, inputs: RunInputs, several: bool, images: TrainingImages | None) -> dict[str, Tensor]:
        """Return the factors of whitened coordinates. A resumed run keeps its own, also on another kind of device."""
        name = inputs.spec.architecture.name if several else None
        kept = {} if self._source is None else resume.whitening_factors(self._source, name)
        return kept or whitening_factors(inputs, self.accelerator.device, images)

    def close(self) -> None:
        """End the threads, and let other processes use the output folder. `train` calls this at its end."""
        # The trainer is part of a cycle of references, so its threads would live on until Python collects that.
        self.stepper.close()
        for target in self.targets:
            target.runner.close()
        watch = watch_of(self.accelerator)
        if watch is not None:
            watch.close()
        self._held.close()

    def train(self) -> Outcome:
        """Train until all steps are done, `max_seconds` have passed or a signal arrives; then save and export.

        Raises:
            TrainingError: a loss is not finite, the disk is full, or another process was lost; the last checkpoint stays.
        """
        config, stepper = self.config, self.stepper
        if config.report_to:
            self.accelerator.init_trackers(config.run_name, {k: str(v) for k, v in recipe(config).items()})
        if "validation" in config.train_split and config.num_validation_tasks:
            self.log.notify(
                f"train_split is '{config.train_split}', so training uses the validation images. The validation figures are "
                "therefore too good, and only show whether training works."
            )
        # Saving, exporting and closing are inside: a second signal ends them, and the repeat of a launcher does not.
        with self.stop.listening():
            try:
                with connected(self.accelerator):
                    on_main(self.accelerator, self._prepare_folder)
                    self.log.start(stepper.step)
                    self._steps()
                    if self.saved_at != stepper.step:
                        self._save()
                    finished = stepper.step >= config.max_steps
                    validation = self._last_validation()
                    folder = config.output_dir / FINISHED
                    self._export(folder, validation)
                    on_main(
                        self.accelerator,
                        lambda: checkpoint.prune(self.root, stepper.step, config.checkpoints_total_limit),
                    )
            finally:
                self.log.close()
                self.close()
                self.accelerator.end_training()
        if not finished:
            self.log.notify(
                f"Stopped at step {stepper.step} of {config.max_steps} ({self.stop.reason}). To continue, use the same "
                "settings and --resume_from_checkpoint latest."
            )
        return Outcome(stepper.step, finished, folder, validation, self.stop.exit_code if not finished else 0)

    def _steps(self) -> None:
        """Do all steps, with a validation at the start and at the end.

        A run that has to stop earlier does no validation that a whole run does not do, so that it resumes exactly.
        """
        config, stepper = self.config, self.stepper
        if stepper.step == 0 and self.validated[0] != 0:
            self._validate()
        watch = watch_of(self.accelerator)
        start, first = time.perf_counter(), stepper.step
        while stepper.step < config.max_steps:
            if watch is not None:
                watch.step = stepper.step
            before = time.perf_counter()
            losses, norm = stepper.train_step()
            seconds = time.perf_counter() - before
            self.window.add(losses, seconds)
            self.seconds += seconds
            step = stepper.step
            eta = (time.perf_counter() - start) / (step - first) * (config.max_steps - step)
            if step % config.logging_steps == 0 or step == config.max_steps:
                self._log(norm, eta)
            if config.validation_steps and step % config.validation_steps == 0:
                self._validate()
            if config.checkpointing_steps and step % config.checkpointing_steps == 0:
                self._save()
            self.log.advance(step, _note(losses, self.validated[1]), eta)
            if step < config.max_steps and self.stop.agreed(stepper.requests):
                return
        if self.validated[0] != stepper.step:
            self._validate()

    def _last_validation(self) -> ValidationResult | None:
        """Return the figures of the present weights, for the exported generator; None if they were not measured.

        After `max_seconds` they are measured now. They do not count for `best` and the log, which follow a whole run.
        """
        step, result = self.validated
        if step == self.stepper.step or self.stop.signal:
            return result if step == self.stepper.step else None
        return self._measure()

    def _measure(self) -> ValidationResult | None:
        """Measure the averaged weights on the validation tasks."""
        if self.config.num_validation_tasks == 0:
            return None
        # Made late, because a run without validation should not load validation images.
        if not self._validators:
            process = self.accelerator.process_index, self.accelerator.num_processes
            self._validators = [Validator(target, *process) for target in self.targets]
        # A gathered copy of sharded weights: each process measures other tasks, and could not run a sharded denoiser alone.
        denoiser = self.stepper.ema.denoiser()
        results: dict[str, ValidationResult] = {}
        shares: dict[str, dict[str, float]] = {}
        for target, validator in zip(self.targets, self._validators, strict=True):
            name = target.spec.architecture.name
            measure = functools.partial(self._measure_one, name, validator, denoiser)
            if target.spec.relative is None:
                results[name] = measure()
            else:
                results[name], shares[name] = choose_shares(target, measure)
            result = results[name]
            self.log.notify(
                f"step {self.stepper.step}{f', {name}' * (len(self.targets) > 1)}: validation accuracy {100 * result.accuracy:.2f} %, "
                f"selection {100 * result.selection:.2f} %, difference {100 * result.difference:+.2f} ± "
                f"{100 * result.standard_error:.2f} points ({result.num_tasks} task{'s' * (result.num_tasks > 1)})"
            )
        return mean_over(
            results, [target.spec.architecture.name for target in self.targets if target.weight > 0], shares
        )

    def _measure_one(self, name: str, validator: Validator, denoiser: Denoiser) -> ValidationResult:
        """Measure the averaged weights on the validation tasks of one architecture."""
        generator = make_generator(self.targets, denoiser).for_architecture(name)
        return validator.summarize(gather_object(validator.measure(generator)))

    def _validate(self) -> None:
        """Validate the averaged weights, and export them if they are the best so far."""
        started, step = time.perf_counter(), self.stepper.step
        result = self._measure()
        if result is None:
            return
        self.log.write("validation", step, {**result.to_json(), "seconds": time.perf_counter() - started})
        self.validated = step, result
        if self.best is None or result.accuracy > self.best["accuracy"]:
            self.best = {"step": step, "accuracy": result.accuracy}
            self._export(self.config.output_dir / BEST, result)

    def _export(self, folder: Path, validation: ValidationResult | None) -> None:
        denoiser = self.stepper.ema.denoiser(torch.device("cpu"), needed=self.is_main)

        def save() -> None:
            make_generator(
                self.targets,
                denoiser,
                step=self.stepper.step,
                seconds=self.seconds,
                validation=validation,
            ).save_pretrained(folder)

        on_main(self.accelerator, save)

    def _save(self) -> None:
        """Write a checkpoint, with the random state of every process."""
        step = self.stepper.step
        random_states = gather_object([checkpoint.rng_tensors()])
        tensors = resume.tensors(self.stepper)

        def save() -> None:
            self.log.sync()
            files = {**tensors, **resume.coordinates(self)}
            checkpoint.write(self.root, step, files, resume.state(self).to_json(), random_states)

        if self.stepper.sharded:
            self._save_shards(tensors, random_states)
        else:
            on_main(self.accelerator, save)
        on_main(self.accelerator, lambda: checkpoint.prune(self.root, step, self.config.checkpoints_total_limit))
        self.saved_at = step

    def _save_shards(self, tensors: dict[str, dict[str, Tensor]], random_states: list[dict[str, Tensor]]) -> None:
        """Write a checkpoint in which each process's part of the weights has files of its own."""
        accelerator, parts = self.accelerator, resume.flat(tensors)
        with contextlib.ExitStack() as stack:
            place = on_main(
                accelerator, lambda: str(stack.enter_context(checkpoint.writing(self.root, self.stepper.step)))
            )
            partial = Path(place)
            on_all(accelerator, lambda: shard_files.check_visible(partial))
            written = on_all(accelerator, lambda: shard_files.write_parts(partial, parts, accelerator.process_index))
            all_written = {name: sha256 for part in gather_object([written]) for name, sha256 in part.items()}

            def complete() -> None:
                self.log.sync()
                checkpoint.complete(
                    partial, resume.coordinates(self), resume.state(self).to_json(), random_states, all_written
                )
                stack.close()  # puts the checkpoint in its place

            on_main(accelerator, complete)

    def _prepare_folder(self) -> None:
        """Mark the output folder as that of this run, and on a new start remove what an earlier run left there.

        The user either set `overwrite_output_dir`, or the earlier run never wrote a checkpoint.
        """
        if self._source is None or not self._source.own:
            forget_run(self.config.output_dir)
        describe(self.config)

    def _log(self, norm: float, eta: float) -> None:
        """Write a line for the steps since the last one."""
        config, objectives = self.config, self.stepper.objectives
        means, seconds = self.window.means(), self.window.seconds
        images = config.task_batch_size * config.images_per_task if config.task_weight > 0 else 0
        figures = {
            "loss": sum(o.weight * means[o.name] for o in objectives),
            **{f"{name}_loss": mean for name, mean in means.items()},
            "learning_rate": learning_rate(config, self.stepper.step - 1),
            "grad_norm": norm if math.isfinite(norm) else None,
            "images_per_second": images * self.window.steps / seconds,
            "seconds": self.seconds,
            "eta_seconds": eta,
        }
        self.log.write("train", self.stepper.step, figures)
        self.window = LogWindow()

    def _track(self, figures: dict[str, float], step: int) -> None:
        if self.config.report_to:
            self.accelerator.log(figures, step=step)


def _build_all(
    inputs: Sequence[RunInputs],
    device: torch.device,
    images: TrainingImages | None,
    factors: Sequence[Mapping[str, Tensor]],
) -> list[TrainingComponents]:
    """Build the components for each architecture. Those after the first share its denoiser."""
    built: list[TrainingComponents] = []
    for target, found in zip(inputs, factors, strict=True):
        built.append(build_components(target, device, images, found, built[0] if built else None))
    return built


def _note(losses: dict[str, float], validation: ValidationResult | None) -> str:
    parts = [f"{name} {value:.4f}" for name, value in losses.items()]
    if validation is not None:
        parts.append(f"validation {validation.accuracy:.4f} ({100 * validation.difference:+.2f})")
    return "  ".join(parts)
