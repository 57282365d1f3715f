"""The training loop of all peers. A stopped run continues exactly where its last checkpoint was."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, TrainingError
from tina_framework.storage.files import check_tensors, read_digested, write_safetensors
from tina_peers.peer import CHECKPOINT, Peer
from tina_peers.setup import Setup, mean_and_error

__all__ = ["Run", "train"]

CURVE = 4
"""How often a run is measured on the validation tasks."""
SAVE_SECONDS = 30.0
"""How often a checkpoint is written."""


class Run:
    """The state of one training run: weights, their moving average, the optimiser and what was measured.

    Args:
        peer: the peer to train, in place.
        setup: the data.
        record: JSON values that must be equal for a checkpoint to be continued, as those of `setup.identity`. The command
            may differ.
    """

    def __init__(self, peer: Peer, setup: Setup, record: dict[str, Any]) -> None:
        self.peer, self.setup, self.recipe = peer, setup, setup.recipe
        self.identity = {key: value for key, value in record.items() if key != "command"} | setup.identity
        self.average = copy.deepcopy(peer).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(peer.parameters(), lr=self.recipe.lr, weight_decay=self.recipe.weight_decay)
        # The optimiser makes its state at the first step. It is made here, so that it always exists for a checkpoint.
        for parameter in peer.parameters():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.step = 0
        self.seconds = 0.0
        self.losses: list[float] = []
        self.curve: list[dict[str, float]] = []

    def advance(self) -> float:
        """Train one step and return its loss.

        Raises:
            TrainingError: the loss is not finite. The weights are those before the step.
        """
        phase, start, _ = self.recipe.phase(self.step, self.peer.phases)
        if self.step == start:
            self._begin(phase)
        self.peer.train()
        loss = self._loss(phase)
        value = float(loss.detach())
        if not bool(loss.isfinite()):
            raise TrainingError(
                f"The loss of '{self.peer.name}' became {value} at step {self.step}; lower lr (now {self.recipe.lr:g})."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.peer.parameters(), self.recipe.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr * self.recipe.rate(self.step, self.peer.phases)
        self.optimizer.step()
        self._update_average(self.step - start)
        self.step += 1
        self.losses = [*self.losses[-49:], value]
        return value

    def _loss(self, phase: int) -> Tensor:
        if self.recipe.objective == "weights":
            return self.peer.weight_loss(self.setup.weight_batch(self.step), phase)
        inputs, images, labels = self.setup.task_batch(self.step)
        flats = self.peer.networks(inputs)
        exists = torch.ones(len(inputs), inputs.num_classes, dtype=torch.bool, device=flats.device)
        return self.setup.runner.task_loss(flats, exists, images, labels).mean()

    def _begin(self, phase: int) -> None:
        """Start a phase from the averaged weights, and let the peer prepare it."""
        self.peer.load_state_dict(self.average.state_dict())
        self.peer.begin_phase(phase, self.setup.all_p_models())
        self.average.load_state_dict(self.peer.state_dict())

    @torch.no_grad()
    def _update_average(self, updates: int) -> None:
        # The decay rises, so that the random weights of the start are forgotten quickly.
        share = 1 - min(self.recipe.ema_decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.average.parameters()), [p.detach() for p in self.peer.parameters()], share)
        for averaged, current in zip(self.average.buffers(), self.peer.buffers(), strict=True):
            averaged.copy_(current)  # such as the running statistics of a normalisation layer

    def measure(self) -> str:
        """Measure the averaged weights on the validation tasks, add them to the curve, and return a text for the log."""
        mean, error = mean_and_error(self.setup.gains(self.average))
        self.curve.append({"step": self.step, "gain": mean, "standard_error": error})
        return f", {mean:+.2f} ± {error:.2f} over selection"

    def _tensors(self) -> dict[str, Tensor]:
        found = {f"weights.{name}": tensor for name, tensor in self.peer.state_dict().items()}
        found |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for name, parameter in self.peer.named_parameters():
            state = self.optimizer.state[parameter]
            found |= {f"{key}.{name}": state[key] for key in ("step", "exp_avg", "exp_avg_sq")}
        return found

    def save(self, path: Path) -> None:
        """Write a checkpoint: one file, atomically."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
            "curve": self.curve,
            "identity": self.identity,
        }
        write_safetensors(path, self._tensors(), {"state": json.dumps(state)}, digest=True)

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: the file is damaged, or belongs to a run with other settings.
        """
        tensors, texts = read_digested(path)
        try:
            state = json.loads(texts["state"])
            identity, step = state["identity"], int(state["step"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"'{path}' holds no state of a training run; remove it and start again.") from error
        theirs, ours = dict(_flat(identity)), dict(_flat(json.loads(json.dumps(self.identity))))
        if differs := [key for key in {**ours, **theirs} if key not in ours or theirs.get(key, _NONE) != ours[key]]:
            raise CheckpointError(
                f"'{path}' belongs to a run with other settings or data ({', '.join(differs)} differ); "
                "use the same ones, choose another --out, or remove it."
            )
        mine = self._tensors()
        check_tensors(tensors, {name: tuple(tensor.shape) for name, tensor in mine.items()}, f"'{path}'")
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])
        self.step, self.seconds = step, float(state["seconds"])
        self.losses, self.curve = list(state["losses"]), list(state["curve"])


_NONE = object()


def _flat(values: Mapping[str, Any], lead: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested tables, under names such as ``recipe.lr``."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{lead}{key}.")
        else:
            yield lead + key, value


def log(text: str) -> None:
    """Print a line of the log on standard error."""
    print(text, file=sys.stderr, flush=True)


def train(
    peer: Peer,
    setup: Setup,
    folder: Path,
    record: dict[str, Any],
    on_log: Callable[[str], None] = log,
    stop_after: int | None = None,
) -> Peer | None:
    """Train a peer, and write it to a folder. A checkpoint in the folder is continued.

    Args:
        peer: an untrained peer of `setup`.
        setup: the data.
        folder: where the peer is written. Until then it holds the checkpoint only.
        record: JSON values for the peer's training record; a checkpoint must have the same.
        on_log: called with each line of the log.
        stop_after: write a checkpoint and return None after so many steps of this call.

    Returns:
        The peer that was saved, with averaged and rounded weights.
    """
    run, recipe, path = Run(peer, setup, record), setup.recipe, folder / CHECKPOINT
    if path.is_file():
        run.load(path)
        on_log(f"{peer.name}: continues at step {run.step} of {recipe.steps}")
    started, before, saved, first = time.perf_counter(), run.seconds, time.perf_counter(), run.step
    while run.step < recipe.steps:
        run.advance()
        now = time.perf_counter()
        run.seconds = before + now - started
        measured = ""
        if run.step < recipe.steps and run.step % -(-recipe.steps // CURVE) == 0:
            measured = run.measure()
        if measured or run.step % 50 == 0:
            left = (now - started) / (run.step - first) * (recipe.steps - run.step)
            loss = sum(run.losses) / len(run.losses)
            on_log(f"{peer.name}: step {run.step} of {recipe.steps}, loss {loss:.4f}{measured}, {left:.0f} s left")
        if now - saved > SAVE_SECONDS or run.step - first == stop_after:
            run.save(path)
            saved = now
        if run.step - first == stop_after:
            return None
    run.average.round()
    text = run.measure()
    setup.runner.close()
    on_log(f"{peer.name}: done after {run.seconds:.0f} s{text}")
    run.average.training_record = {
        **record,
        **setup.identity,
        "selection": round(100 * sum(setup.selection) / max(1, len(setup.selection)), 3),
        "gain": run.curve[-1]["gain"],
        "standard_error": run.curve[-1]["standard_error"],
        "curve": run.curve,
        "loss": sum(run.losses) / len(run.losses),
        "seconds": round(run.seconds, 1),
        "parameters": sum(p.numel() for p in run.average.parameters()),
    }
    run.average.save(folder)
    return run.average
