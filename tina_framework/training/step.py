"""One optimizer step, on one process or several: draw batches, forward, backward, check, update."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.training.acceleration import compile_denoiser, compiling, set_tf32
from tina_framework.training.draw_ahead import DrawAhead
from tina_framework.training.draws import Draws, place
from tina_framework.training.ema import EMA
from tina_framework.training.objectives import Objective
from tina_framework.training.optimizer import learning_rate, make_optimizer
from tina_framework.training.sharding import Sharding, full, is_sharded, like, shard
from tina_framework.training.track import Track, track_at

__all__ = ["Stepper", "check_batches"]


def check_batches(config: TrainingConfig, processes: int) -> None:
    """Check that the processes can share each batch equally.

    Raises:
        ConfigError: a batch size is not a multiple of processes x gradient_accumulation_steps, or that of tasks not of
            this number x draws_per_task.
    """
    shares = processes * config.gradient_accumulation_steps
    draws = config.draws_per_task
    if config.task_weight > 0 and config.task_batch_size % (shares * draws) and not config.task_batch_size % shares:
        raise ConfigError(
            f"task_batch_size is {config.task_batch_size}, which {processes} process(es) with gradient_accumulation_steps="
            f"{config.gradient_accumulation_steps} cannot share without separating the {draws} draws of a task "
            f"(draws_per_task). Choose a multiple of {shares * draws}."
        )
    for name, weight in (("task_batch_size", config.task_weight), ("denoise_batch_size", config.denoise_weight)):
        if weight > 0 and getattr(config, name) % shares:
            raise ConfigError(
                f"{name} is {getattr(config, name)}, which {processes} process(es) with gradient_accumulation_steps="
                f"{config.gradient_accumulation_steps} cannot share equally. Choose a multiple of {shares}."
            )


class Stepper:
    """The weights, their average and the optimizer, with the update that one step makes.

    Args:
        config: the training settings.
        accelerator: the `accelerate.Accelerator` of the run.
        denoiser: the denoiser with its initial weights. It is moved to the accelerator's device.
        tracks: the architectures that are trained, one in each step.
        sharding: how to shard the denoiser over the processes; None: each process holds all of it.

    Attributes:
        denoiser: the denoiser, without Accelerate's wrapper. Its parameters may be sharded.
        objectives: the terms of the loss of the first track. Those of the others have the same names and weights.
        ema: the averaged weights.
        step: number of optimizer steps so far.
        sharded: whether each process holds a shard of the weights, and runs the denoiser only together with the others.
        own_request: returns the request of this process to stop, as a number; see `tina_framework.training.interrupt`.
        requests: what it returned in each process during the last step.
    """

    def __init__(
        self,
        config: TrainingConfig,
        accelerator: Any,
        denoiser: Denoiser,
        tracks: Sequence[Track],
        sharding: Sharding | None = None,
    ) -> None:
        set_tf32(config.tf32)
        self.config = config
        self.accelerator = accelerator
        self.tracks = tracks
        self.objectives = tracks[0].objectives
        self.denoiser = denoiser
        if sharding is not None and accelerator.num_processes > 1:
            shard(denoiser, sharding, accelerator.device, accelerator.num_processes)
        else:
            denoiser.to(accelerator.device)
        self.sharded = is_sharded(denoiser)
        self.ema = EMA(denoiser, config.ema_decay)  # before `prepare`, which may wrap the forward pass that EMA copies
        denoiser.enable_checkpointing(config.gradient_checkpointing)
        # `evaluation_mode` leaves out data-parallel training, which sharding replaces, and keeps autocast.
        self.model = accelerator.prepare_model(
            denoiser, device_placement=False if self.sharded else None, evaluation_mode=self.sharded
        )
        compile_denoiser(denoiser, tracks[0].context.layout, accelerator.device, config)
        self.optimizer = accelerator.prepare(make_optimizer(denoiser, config))
        self.step = 0
        self._ahead = DrawAhead(self._draw, config.gradient_accumulation_steps, config.max_steps)
        self.own_request: Callable[[], int] = lambda: 0
        self.requests: list[int] = []

    def close(self) -> None:
        """End the thread that draws ahead. The next step starts a new one."""
        self._ahead.close()

    def train_step(self) -> tuple[dict[str, float], float]:
        """Train on the next global batch.

        Returns:
            The mean loss of each objective over all processes, and the norm of the gradient before clipping.

        Raises:
            TrainingError: a loss or the gradient is not finite; the weights were not changed.
            ConfigError: the denoiser cannot be compiled.
        """
        parts = self.config.gradient_accumulation_steps
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        totals = [torch.zeros((), device=self.accelerator.device) for _ in self.objectives]
        for part in range(parts):
            # Data-parallel training reduces the gradients once, after the last part.
            last = part == parts - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model), compiling(self.config):
                losses = self._losses(part)
                weighted = [o.weight * loss / parts for o, loss in zip(self.objectives, losses, strict=True)]
                self.accelerator.backward(torch.stack(weighted).sum())
                totals = [total + loss.detach() / parts for total, loss in zip(totals, losses, strict=True)]
        # An infinite limit clips nothing, but the norm is still computed for the check and the log.
        limit = self.config.max_grad_norm if self.config.max_grad_norm is not None else math.inf
        norm = full(self.accelerator.clip_grad_norm_(self.denoiser.parameters(), limit))
        # The request to stop is sent together with the losses: a separate exchange would slow down every step.
        request = torch.full((), float(self.own_request()), device=self.accelerator.device)
        gathered = self.accelerator.gather(torch.stack([*totals, norm.detach(), request])[None].float()).cpu()
        gathered, self.requests = gathered[:, :-1], [int(value) for value in gathered[:, -1].tolist()]
        self._check_finite(gathered)
        # Set here and not by a scheduler of torch, so that the rate follows from the step alone, also after a resume.
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        self.optimizer.step()
        # fp16 training skips a step whose scaled gradient overflowed.
        if not self.accelerator.optimizer_step_was_skipped:
            self.ema.update(self.denoiser)
        self.step += 1
        means = gathered.double().mean(0).tolist()
        return {o.name: mean for o, mean in zip(self.objectives, means, strict=False)}, means[-1]

    @torch.no_grad()
    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Load whole weights by name, which every process has."""
        for name, parameter in self.denoiser.named_parameters():
            parameter.copy_(like(tensors[name], parameter))

    def _losses(self, part: int) -> list[Tensor]:
        """Return the mean loss of each objective over part number `part` of this process's share of the batch."""
        placed = place(self._ahead.get(self.step, part), self.accelerator.device)
        track = self._track(self.step)
        batches = [
            o.batch(draws, self.denoiser, self._together(o, part))
            for o, draws in zip(track.objectives, placed, strict=True)
        ]
        t_B = torch.cat([b.t_B for b in batches])
        predicted = self.model(
            torch.cat([b.condition_BKE for b in batches]),
            torch.cat([b.class_mask_BK for b in batches]),
            track.context.model_input(torch.cat([b.noisy_BPD for b in batches]), t_B),
            t_B,
            track.context.layout,
        )
        split = predicted.split([len(b.t_B) for b in batches])
        return [o.losses(p, b).mean() for o, p, b in zip(track.objectives, split, batches, strict=True)]

    def _track(self, step: int) -> Track:
        """Return the track of a step."""
        return track_at(self.tracks, self.config.seed, step)

    def _draw(self, step: int, part: int) -> list[Draws]:
        """Draw the examples of each objective for part number `part` of this process's share of a step."""
        return [o.draw(step, self._share(o, part)) for o in self._track(step).objectives]

    def _share(self, objective: Objective, part: int) -> range:
        """Return the places in the global batch that this process computes in part number `part`.

        The parts of all processes together are the whole batch.
        """
        return self._share_of(self.accelerator.process_index, objective, part)

    def _together(self, objective: Objective, part: int) -> list[int]:
        """Return the places that all processes compute in part number `part`, if they run the denoiser only together."""
        processes = range(self.accelerator.num_processes) if self.sharded else ()
        return [place for process in processes for place in self._share_of(process, objective, part)]

    def _share_of(self, process: int, objective: Objective, part: int) -> range:
        parts = self.config.gradient_accumulation_steps
        size = objective.batch_size // (self.accelerator.num_processes * parts)
        start = (process * parts + part) * size
        return range(start, start + size)

    def _check_finite(self, gathered: Tensor) -> None:
        """Raise TrainingError if a value of any process (row) is not finite, so that all processes stop together."""
        # With fp16 an infinite gradient is expected now and then: the loss scaler skips the step and lowers its scale.
        columns = gathered[:, :-1] if self.config.mixed_precision == "fp16" else gathered
        bad = torch.nonzero(~columns.isfinite())
        if not len(bad):
            return
        process, column = bad[0].tolist()
        names = [f"the loss of objective '{o.name}'" for o in self.objectives] + ["the norm of the gradient"]
        raise TrainingError(
            f"At step {self.step} {names[column]} became {float(gathered[process, column])} (process {process}). Training "
            f"stopped before the weights changed. Lower learning_rate (now {self.config.learning_rate:g}) or "
            "max_grad_norm, and start a new run."
        )
