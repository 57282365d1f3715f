"""The training loop: steps, validation, checkpoints, logging and export."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import gather_object  # type: ignore[import-untyped]

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError, DependencyError
from tina_framework.generator.config import FORMAT
from tina_framework.storage.files import write_json
from tina_framework.storage.folders import is_folder_of
from tina_framework.training import checkpoint, resume
from tina_framework.training.components import build_components
from tina_framework.training.export import git_commit, make_generator, recipe
from tina_framework.training.interrupt import StopRequest
from tina_framework.training.optimizer import learning_rate
from tina_framework.training.run_log import RunLog
from tina_framework.training.step import Stepper, check_batches
from tina_framework.training.validation import ValidationResult, Validator

__all__ = ["Outcome", "Trainer"]


@dataclass(frozen=True)
class Outcome:
    """The result of a training run.

    Attributes:
        step: number of optimizer steps.
        finished: whether all `max_steps` steps were done.
        generator: folder of the exported generator.
        validation: its validation figures, or None without validation.
    """

    step: int
    finished: bool
    generator: Path
    validation: ValidationResult | None


class Trainer:
    """A training run, in one of its processes.

    Args:
        config: the training settings.

    Attributes:
        stepper: the weights, their average, the optimizer and the number of steps.
        components: everything else that the run consists of.
        seconds: time spent in steps, including the steps before a resume.
        best: step and accuracy of the best validation, None before the first one.
        saved_at: step of the newest checkpoint in the output folder, None if there is none.

    Raises:
        TinaError: the settings do not fit the data, the zoo, the checkpoint or the machine.
    """

    def __init__(self, config: TrainingConfig) -> None:
        git_commit()  # cached now, because the source tree may change while the run lasts
        self.config = config
        self.root = config.output_dir / "checkpoints"
        self.accelerator = _make_accelerator(config)
        self.stop = StopRequest(self.accelerator, config.max_seconds)
        check_batches(config, self.accelerator.num_processes)
        self.is_main = bool(self.accelerator.is_main_process)
        self.log = RunLog(config.output_dir, config.max_steps, self.is_main, self._track)
        if self.accelerator.num_processes == 1 and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ:
            self.log.notify(
                "Several processes were requested, but only one was started, because `accelerate launch` needs MPI to start "
                "several on a CPU. Use `accelerate launch --multi_gpu --num_processes N`, which also works on CPUs, or torchrun."
            )
        source = resume.find_checkpoint(config, self.log.notify)
        self.components = build_components(config, self.accelerator.device)
        self.stepper = Stepper(
            config,
            self.accelerator,
            self.components.denoiser.to(self.accelerator.device),
            self.components.objectives,
            self.components.context,
        )
        self.seconds = 0.0
        self.best: dict[str, Any] | None = None
        self._validator: Validator | None = None
        self.saved_at: int | None = None
        # Only dropout uses the global random state; all other draws have generators of their own (`randomness`).
        torch.manual_seed(config.seed * 1000 + self.accelerator.process_index)
        if source is not None:
            resume.restore(self, source)
            self.log.notify(f"Resumed from '{source}' at step {self.stepper.step}.")

    def train(self) -> Outcome:
        """Train until all steps are done, `max_seconds` have passed or a signal arrives; then save and export.

        Raises:
            TrainingError: a loss is not finite, or the disk is full; the last checkpoint stays.
        """
        config, stepper = self.config, self.stepper
        if self.is_main:
            self._prepare_folder()
        self.accelerator.wait_for_everyone()
        self.log.start(stepper.step)
        if config.report_to:
            self.accelerator.init_trackers(config.run_name, {k: str(v) for k, v in recipe(config).items()})
        if "validation" in config.train_split and config.num_validation_tasks:
            self.log.notify(
                f"train_split is '{config.train_split}', so training uses the validation images. The validation figures are "
                "therefore too good, and only show whether training works."
            )
        try:
            with self.stop.listening():
                validation = self._steps()
            if self.saved_at != stepper.step:
                self._save()
            folder = config.output_dir / "generator"
            self._export(folder, validation)
        finally:
            self.log.close()
            self.accelerator.end_training()
        finished = stepper.step >= config.max_steps
        if not finished:
            self.log.notify(
                f"Stopped at step {stepper.step} of {config.max_steps} ({self.stop.reason}). To continue, use the same "
                "settings and --resume_from_checkpoint latest."
            )
        return Outcome(stepper.step, finished, folder, validation)

    def _steps(self) -> ValidationResult | None:
        """Do all steps, with a validation at the start and at the end, and return the last validation."""
        config, stepper = self.config, self.stepper
        validation = self._validate() if stepper.step == 0 or stepper.step >= config.max_steps else None
        validated = stepper.step
        start, first = time.perf_counter(), stepper.step
        window: list[dict[str, float]] = []
        window_seconds = 0.0
        while stepper.step < config.max_steps:
            before = time.perf_counter()
            losses, norm = stepper.train_step()
            window.append(losses)
            window_seconds += time.perf_counter() - before
            self.seconds += time.perf_counter() - before
            step = stepper.step
            eta = (time.perf_counter() - start) / (step - first) * (config.max_steps - step)
            if step % config.logging_steps == 0 or step == config.max_steps:
                self._log(window, norm, window_seconds, eta)
                window, window_seconds = [], 0.0
            if config.validation_steps and step % config.validation_steps == 0:
                validation, validated = self._validate(), step
            if config.checkpointing_steps and step % config.checkpointing_steps == 0:
                self._save()
            self.log.advance(step, _note(losses, validation), eta)
            if self.stop.agreed():
                break
        if validated != stepper.step:
            validation = self._validate()
        return validation

    def _validate(self) -> ValidationResult | None:
        """Validate the averaged weights, and export them if they are the best so far."""
        if self.config.num_validation_tasks == 0:
            return None
        started, step = time.perf_counter(), self.stepper.step
        # Made late, because a run without validation should not load validation images.
        if self._validator is None:
            self._validator = Validator(self.components, self.accelerator.process_index, self.accelerator.num_processes)
        rows = self._validator.measure(make_generator(self.components, self.stepper.ema.module))
        result = self._validator.summarize(gather_object(rows))
        self.log.write("validation", step, {**result.to_json(), "seconds": time.perf_counter() - started})
        self.log.notify(
            f"step {step}: validation accuracy {100 * result.accuracy:.2f} %, selection {100 * result.selection:.2f} %, "
            f"difference {100 * result.difference:+.2f} ± {100 * result.standard_error:.2f} points ({result.num_tasks} tasks)"
        )
        if self.best is None or result.accuracy > self.best["accuracy"]:
            self.best = {"step": step, "accuracy": result.accuracy}
            self._export(self.config.output_dir / "best", result)
        return result

    def _export(self, folder: Path, validation: ValidationResult | None) -> None:
        if self.is_main:
            make_generator(
                self.components,
                self.stepper.ema.module,
                step=self.stepper.step,
                seconds=self.seconds,
                validation=validation,
            ).save_pretrained(folder)
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        """Write a checkpoint, to which each process adds its own random state."""
        step = self.stepper.step
        if self.is_main:
            checkpoint.start_writing(self.root, step)
        self.accelerator.wait_for_everyone()
        partial = checkpoint.partial_folder(self.root, step)
        checkpoint.write_rng(partial, self.accelerator.process_index)
        self.accelerator.wait_for_everyone()
        if self.is_main:
            checkpoint.finish(partial, *resume.contents(self))
            checkpoint.prune(self.root, step, self.config.checkpoints_total_limit)
        self.accelerator.wait_for_everyone()
        self.saved_at = step

    def _prepare_folder(self) -> None:
        """Create the output folder, and on a new start remove what an earlier run left there.

        The user either set `overwrite_output_dir`, or the earlier run never wrote a checkpoint.
        """
        output = self.config.output_dir
        if self.stepper.step == 0:
            shutil.rmtree(self.root, ignore_errors=True)
            for folder in (output / "best", output / "generator"):
                if is_folder_of(folder, FORMAT):
                    shutil.rmtree(folder)
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / "config.json", {"config": recipe(self.config), "sha256": self.config.sha256()})

    def _log(self, window: Sequence[dict[str, float]], norm: float, seconds: float, eta: float) -> None:
        config, objectives = self.config, self.stepper.objectives
        means = {name: sum(row[name] for row in window) / len(window) for name in window[0]}
        images = config.task_batch_size * config.images_per_task if config.task_weight > 0 else 0
        figures = {
            "loss": sum(o.weight * means[o.name] for o in objectives),
            **{f"{name}_loss": mean for name, mean in means.items()},
            "learning_rate": learning_rate(config, self.stepper.step - 1),
            "grad_norm": norm if math.isfinite(norm) else None,
            "images_per_second": images * len(window) / seconds,
            "seconds": self.seconds,
            "eta_seconds": eta,
        }
        self.log.write("train", self.stepper.step, figures)

    def _track(self, figures: dict[str, float], step: int) -> None:
        if self.config.report_to:
            self.accelerator.log(figures, step=step)


def _make_accelerator(config: TrainingConfig) -> Any:
    """Return Accelerate's object; its errors about settings become ConfigErrors."""
    try:
        accelerator = Accelerator(
            # Accelerate connects several CPU processes only if it is told to use the CPU.
            cpu=not torch.accelerator.is_available(),
            mixed_precision=config.mixed_precision,
            log_with=list(config.report_to) or None,
            project_dir=str(config.output_dir),
        )
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise ConfigError(
            f"mixed_precision={config.mixed_precision} with report_to={list(config.report_to)} is not possible on this machine: {error}"
        ) from error
    ready = {str(getattr(tracker, "value", tracker)) for tracker in accelerator.log_with}
    missing = [name for name in config.report_to if name not in ready and name != "all"]
    if missing:
        raise DependencyError(
            f"report_to names '{missing[0]}', whose package is not installed. Install the package, or remove the name."
        )
    return accelerator


def _note(losses: dict[str, float], validation: ValidationResult | None) -> str:
    parts = [f"{name} {value:.4f}" for name, value in losses.items()]
    if validation is not None:
        parts.append(f"validation {validation.accuracy:.4f} ({100 * validation.difference:+.2f})")
    return "  ".join(parts)
