"""The training loop: draws, one forward pass, one backward pass, and everything that surrounds them."""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from torch import Tensor

from tina_framework.config import TrainingConfig
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.files import write_json, write_safetensors
from tina_framework.training import checkpoint, resume
from tina_framework.training.assembly import assemble
from tina_framework.training.ema import EMA
from tina_framework.training.export import make_generator, recipe
from tina_framework.training.objectives import Objective
from tina_framework.training.optimizer import learning_rate, make_optimizer
from tina_framework.training.report import Reporter
from tina_framework.training.validation import ValidationResult, Validator

__all__ = ["Outcome", "Trainer", "train"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: optimiser steps done.
        finished: whether that is all of them.
        generator: folder of the exported generator.
        validation: its figures, None if it was not validated.
    """

    step: int
    finished: bool
    generator: Path
    validation: ValidationResult | None


def train(config: TrainingConfig) -> Outcome:
    """Runs a configuration from its start, or from its checkpoint, to the end.

    Raises:
        TinaError: what is wrong, in one sentence; the last checkpoint stays.
    """
    return Trainer(config).run()


class Trainer:
    """One run in one process.

    Attributes:
        step: optimiser steps done.
        denoiser: the weights, unwrapped.
        ema: their average.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.root = config.output_dir / "checkpoints"
        self.accelerator = Accelerator(
            mixed_precision=config.mixed_precision,
            log_with=list(config.report_to) or None,
            project_dir=str(config.output_dir),
        )
        self._check_batches()
        self.is_main = self.accelerator.is_main_process
        self.report = Reporter(config.output_dir, config.max_steps, self.is_main, self._track)
        source = resume.find_checkpoint(config, self.report.say)
        self.assembly = assemble(config, self.accelerator.device)
        self.denoiser = self.assembly.denoiser.to(self.accelerator.device)
        self.ema = EMA(self.denoiser, config.ema_decay)
        self.model, self.optimizer = self.accelerator.prepare(self.denoiser, make_optimizer(self.denoiser, config))
        self.step = 0
        self.seconds = 0.0
        self.best: dict[str, Any] | None = None
        # Only dropout draws from the global generators; everything else has its own (`randomness`).
        torch.manual_seed(config.seed * 1000 + self.accelerator.process_index)
        if source is not None:
            resume.restore(self, source)
            self.report.say(f"Resumed from '{source}' at step {self.step}.")
        self._validator: Validator | None = None
        self._stop = ""

    def run(self) -> Outcome:
        """Trains to the end, to `max_seconds`, or to the first interrupt."""
        config = self.config
        if self.is_main and self.step == 0:
            # Whatever of an earlier run is here, the user said to overwrite it.
            shutil.rmtree(self.root, ignore_errors=True)
            config.output_dir.mkdir(parents=True, exist_ok=True)
            write_json(config.output_dir / "config.json", {"config": recipe(config), "sha256": config.sha256()})
        self.accelerator.wait_for_everyone()
        self.report.start(self.step)
        if config.report_to:
            self.accelerator.init_trackers(config.run_name, {k: str(v) for k, v in recipe(config).items()})
        try:
            with self._interruptible():
                validation, validated = self._loop()
            if self.step not in validated:
                validation = self._validate()
            if not (self.root / checkpoint.checkpoint_name(self.step)).is_dir():
                self._save()
            folder = config.output_dir / "generator"
            self._export(folder, validation)
            finished = self.step >= config.max_steps
            if not finished:
                self.report.say(
                    f"Stopped at step {self.step} of {config.max_steps} ({self._stop}). Go on with the same settings and "
                    "--resume_from_checkpoint latest."
                )
            return Outcome(self.step, finished, folder, validation)
        finally:
            self.report.close()
            if config.report_to:
                self.accelerator.end_training()

    def _loop(self) -> tuple[ValidationResult | None, set[int]]:
        """All steps; returns the last validation, and the steps at which there was one."""
        config = self.config
        validation, validated = None, set()
        if self.step == 0:
            validation = self._validate()
            validated.add(0)
        start = last = time.perf_counter()
        first, window = self.step, []
        while self.step < config.max_steps and not self._stop:
            losses, norm = self.train_step()
            window.append(losses)
            now = time.perf_counter()
            self.seconds += now - last
            last = now
            eta = (now - start) / (self.step - first) * (config.max_steps - self.step)
            if config.max_seconds is not None and now - start > config.max_seconds:
                self._stop = self._stop or f"max_seconds={config.max_seconds:g}"
            self._agree_to_stop()
            if self.step % config.logging_steps == 0 or self.step == config.max_steps:
                self._log(window, norm, now - start, self.step - first, eta)
                window = []
            if config.validation_steps and self.step % config.validation_steps == 0:
                validation = self._validate()
                validated.add(self.step)
            if config.checkpointing_steps and self.step % config.checkpointing_steps == 0:
                self._save()
            self.report.advance(self.step, _note(losses, validation), eta)
            last = time.perf_counter()
        return validation, validated

    def train_step(self) -> tuple[dict[str, float], float]:
        """One optimiser step on the global batch of `step`; mean loss of each objective over all processes, and the gradient norm.

        Raises:
            TrainingError: a loss or the gradient is not finite; nothing was changed.
        """
        config, objectives, parts = self.config, self.assembly.objectives, self.config.gradient_accumulation_steps
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        totals = [torch.zeros((), device=self.accelerator.device) for _ in objectives]
        for part in range(parts):
            with self.accelerator.no_sync(self.model) if part < parts - 1 else contextlib.nullcontext():
                losses = self._losses(part)
                weighted = [o.weight * loss / parts for o, loss in zip(objectives, losses, strict=True)]
                self.accelerator.backward(torch.stack(weighted).sum())
                totals = [total + loss.detach() / parts for total, loss in zip(totals, losses, strict=True)]
        limit = config.max_grad_norm if config.max_grad_norm is not None else math.inf
        norm = self.accelerator.clip_grad_norm_(self.denoiser.parameters(), limit)
        gathered = self.accelerator.gather(torch.stack([*totals, norm.detach()])[None].float()).cpu()
        self._check_finite(gathered)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.step)
        self.optimizer.step()
        if not self.accelerator.optimizer_step_was_skipped:
            self.ema.update(self.denoiser)
        self.step += 1
        means = gathered.double().mean(0).tolist()
        named = {o.name: mean for o, mean in zip(objectives, means, strict=False)}
        return named, means[-1]

    def _losses(self, part: int) -> list[Tensor]:
        """The mean loss of each objective over this process' share number `part` of the batch."""
        objectives = self.assembly.objectives
        rows = [o.draw(self.step, self._share(o, part), self.denoiser) for o in objectives]
        predicted = self.model(
            torch.cat([r.condition_BKE for r in rows]),
            torch.cat([r.class_mask_BK for r in rows]),
            torch.cat([r.noisy_BPD for r in rows]),
            torch.cat([r.t_B for r in rows]),
            self.assembly.setting.layout,
        )
        split = predicted.split([len(r.t_B) for r in rows])
        return [o.losses(p, r).mean() for o, p, r in zip(objectives, split, rows, strict=True)]

    def _share(self, objective: Objective, part: int) -> range:
        """Places in the global batch, so that all shares of all processes make up the whole."""
        parts = self.config.gradient_accumulation_steps
        size = objective.batch_size // (self.accelerator.num_processes * parts)
        start = (self.accelerator.process_index * parts + part) * size
        return range(start, start + size)

    def _check_finite(self, gathered: Tensor) -> None:
        """Sees the figures of all processes, so that all stop, and at the same step."""
        # With fp16 an infinite gradient is the loss scaler's business: it skips the step.
        columns = gathered[:, :-1] if self.config.mixed_precision == "fp16" else gathered
        bad = torch.nonzero(~columns.isfinite())
        if not len(bad):
            return
        process, column = bad[0].tolist()
        names = [f"the loss of objective '{o.name}'" for o in self.assembly.objectives] + ["the norm of the gradient"]
        kept = checkpoint.list_checkpoints(self.root)
        advice = f"The last checkpoint is '{kept[-1]}'." if kept else "There is no checkpoint yet."
        raise TrainingError(
            f"At step {self.step} {names[column]} became {float(gathered[process, column])} (process {process}); nothing was "
            f"updated. Lower learning_rate (now {self.config.learning_rate:g}) or max_grad_norm. {advice}"
        )

    def _validate(self) -> ValidationResult | None:
        """Measures the average; keeps the generator if it is the best so far."""
        if self.config.num_validation_tasks == 0:
            return None
        started = time.perf_counter()
        accelerator = self.accelerator
        if self._validator is None:
            self._validator = Validator(self.assembly, accelerator.process_index, accelerator.num_processes)
        rows = self._validator.measure(make_generator(self.assembly, self.ema.module))
        result = self._validator.summarize(gather_object(rows))
        self.report.row("validation", self.step, {**result.to_json(), "seconds": time.perf_counter() - started})
        self.report.say(
            f"step {self.step}: validation accuracy {result.accuracy:.4f}, selection {result.selection:.4f}, difference "
            f"{100 * result.difference:+.2f} ± {100 * result.standard_error:.2f} points ({result.num_tasks} tasks)"
        )
        if self.best is None or result.accuracy > self.best["accuracy"]:
            self.best = {"step": self.step, "accuracy": result.accuracy}
            if self.step > 0:
                self._export(self.config.output_dir / "best", result)
        return result

    def _export(self, folder: Path, validation: ValidationResult | None) -> None:
        if self.is_main:
            generator = make_generator(
                self.assembly, self.ema.module, step=self.step, seconds=self.seconds, validation=validation
            )
            generator.save_pretrained(folder)
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        """Writes a checkpoint; every process adds its own random state."""
        partial = self.root / f".{checkpoint.checkpoint_name(self.step)}.partial"
        if self.is_main:
            checkpoint.start_writing(self.root, self.step)
        self.accelerator.wait_for_everyone()
        name = checkpoint.rng_name(self.accelerator.process_index)
        write_safetensors(partial / f"{name}.safetensors", checkpoint.rng_tensors())
        self.accelerator.wait_for_everyone()
        if self.is_main:
            checkpoint.finish(partial, *resume.contents(self))
            checkpoint.prune(self.root, self.config.checkpoints_total_limit)
        self.accelerator.wait_for_everyone()

    def _log(self, window: Sequence[dict[str, float]], norm: float, elapsed: float, steps: int, eta: float) -> None:
        means = {f"{name}_loss": sum(row[name] for row in window) / len(window) for name in window[0]}
        weights = {f"{o.name}_loss": o.weight for o in self.assembly.objectives}
        images = self.config.task_batch_size * self.config.images_per_task if self.config.task_weight > 0 else 0
        figures = {
            "loss": sum(weights[name] * value for name, value in means.items()),
            **means,
            "learning_rate": learning_rate(self.config, self.step - 1),
            "grad_norm": norm if math.isfinite(norm) else None,
            "images_per_second": images * steps / elapsed,
            "seconds": self.seconds,
            "eta_seconds": eta,
        }
        self.report.row("train", self.step, figures)

    def _track(self, figures: dict[str, float], step: int) -> None:
        if self.config.report_to:
            self.accelerator.log(figures, step=step)

    def _check_batches(self) -> None:
        config, processes = self.config, self.accelerator.num_processes
        shares = processes * config.gradient_accumulation_steps
        for name, weight in (("task_batch_size", config.task_weight), ("denoise_batch_size", config.denoise_weight)):
            if weight > 0 and getattr(config, name) % shares:
                raise ConfigError(
                    f"{name} is {getattr(config, name)}, which {processes} processes with gradient_accumulation_steps="
                    f"{config.gradient_accumulation_steps} cannot share equally; choose a multiple of {shares}."
                )

    def _agree_to_stop(self) -> None:
        """One process that has to stop stops all."""
        if self.accelerator.num_processes > 1:
            reasons = [reason for reason in gather_object([self._stop]) if reason]
            self._stop = reasons[0] if reasons else ""

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first interrupt ends the run in order, after the present step; the second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, frame: Any) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = f"interrupted by {signal.Signals(number).name}"

        try:
            for number in before:
                signal.signal(number, handle)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _note(losses: dict[str, float], validation: ValidationResult | None) -> str:
    parts = [f"{name} {value:.4f}" for name, value in losses.items()]
    if validation is not None:
        parts.append(f"validation {validation.accuracy:.4f} ({100 * validation.difference:+.2f})")
    return "  ".join(parts)
