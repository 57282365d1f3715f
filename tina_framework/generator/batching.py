"""From encoded tasks to flat parameters: batches by class count, in an order that does not show in the result.

Shapes: B batch, K classes, E condition width, N parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.transformer import ClassMemory, Denoiser
from tina_framework.errors import ConfigError, PromptError, TinaError
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.sampling import sample_tokens, task_draws
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.prompts.condition import ConditionSpace
from tina_framework.prompts.resolve import Condition

__all__ = ["OnProgress", "ParameterSampler"]

OnProgress = Callable[[int, int], None]
"""Called with (models done, models in all)."""


@dataclass(frozen=True)
class ParameterSampler:
    """Samples the parameters of whole lists of tasks.

    The classes of a task are sorted by their keys, the noise is drawn for that order from the task's own random
    numbers, and the result is put back: so the order of the classes, and what else is in the batch, do not matter.
    """

    config: GeneratorConfig
    denoiser: Denoiser
    normalizer: Normalizer
    condition_space: ConditionSpace
    layout: Callable[[int], TokenLayout]

    def run(
        self,
        conditions: Sequence[Condition],
        *,
        steps: int,
        seed: int,
        num_samples: int,
        scheduler: NoiseScheduler,
        batch_size: int,
        on_progress: OnProgress | None,
    ) -> list[Tensor]:
        """Flat parameters (N_K,), `num_samples` for each task, task by task; see `Generator`."""
        self._check(conditions, steps, num_samples, batch_size, scheduler)
        if not isinstance(seed, Integral):
            raise ConfigError(f"The seed is {seed!r}; it must be an integer.")
        # Rows are (task, sample); those of one class count run together, the samples of a task side by side.
        rows = [(task, sample) for task in range(len(conditions)) for sample in range(num_samples)]
        rows.sort(key=lambda row: len(conditions[row[0]]))
        done: dict[tuple[int, int], Tensor] = {}
        was_training = self.denoiser.training
        self.denoiser.eval()
        try:
            while len(done) < len(rows):
                window = rows[len(done) : len(done) + batch_size]
                count = len(conditions[window[0][0]])
                batch = [row for row in window if len(conditions[row[0]]) == count]
                with torch.inference_mode():
                    flat_BN = self._sample(conditions, batch, seed, scheduler, steps)
                # Copied outside inference mode: ordinary tensors, which may be trained further.
                done.update(zip(batch, flat_BN.clone().unbind(), strict=True))
                if on_progress is not None:
                    on_progress(len(done), len(rows))
        finally:
            self.denoiser.train(was_training)
        return [done[task, sample] for task in range(len(conditions)) for sample in range(num_samples)]

    def _check(
        self, conditions: Sequence[Condition], steps: int, num_samples: int, batch_size: int, scheduler: NoiseScheduler
    ) -> None:
        for name, value in (("num_inference_steps", steps), ("num_samples", num_samples), ("batch_size", batch_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} is {value!r}; it must be an integer of at least 1.")
        trained = dict(scheduler.config).get("num_train_timesteps", steps)
        if steps > trained:
            raise ConfigError(f"num_inference_steps is {steps}, but the noise process has only {trained} timesteps.")
        if steps != 1 and not self.config.initial_noise:
            raise ConfigError(
                f"num_inference_steps is {steps}, but this generator is a plain regressor, which answers in one step; leave it out."
            )
        least, most = self.config.min_classes, self.config.max_classes
        for condition in conditions:
            if not least <= len(condition) <= most:
                advice = "add some"
                if len(condition) > most:
                    advice = "leave some out, or have one composed of several (compose=True, tina generate --compose)"
                raise PromptError(
                    f"{len(condition)} classes were named, but this generator makes classifiers for {least} to {most}; {advice}."
                )

    def _sample(
        self,
        conditions: Sequence[Condition],
        rows: Sequence[tuple[int, int]],
        seed: int,
        scheduler: NoiseScheduler,
        steps: int,
    ) -> Tensor:
        """(B, N) for B rows (task, sample) of one class count."""
        tasks = list(dict.fromkeys(task for task, _ in rows))
        count = len(conditions[tasks[0]])
        orders = {task: _key_order(conditions[task]) for task in tasks}
        draws = [task_draws(seed, sample, sorted(conditions[task].keys)) for task, sample in rows]
        memory = self._encode([conditions[task] for task in tasks], [orders[task] for task in tasks])
        which = torch.tensor([tasks.index(task) for task, _ in rows], device=memory.hidden_BKH.device)
        memory = memory.rows(which)
        layout = self.layout(count)
        tokens_BPD = sample_tokens(self.denoiser, scheduler, memory, layout, draws, steps, self.config.initial_noise)
        sorted_BN = self.normalizer.denormalize(layout.scatter(tokens_BPD).float(), count)
        flat_BN = torch.stack(
            [self._reorder(flat, orders[task]) for flat, (task, _) in zip(sorted_BN.unbind(), rows, strict=True)]
        )
        for finite, (task, _) in zip(flat_BN.isfinite().all(dim=1).tolist(), rows, strict=True):
            if not finite:
                raise TinaError(
                    f"The network generated for '{', '.join(conditions[task].class_names)}' has values that are not finite "
                    f"(after {steps} steps); the scheduler does not suit this generator, or the generator is damaged."
                )
        return flat_BN

    def _encode(self, conditions: Sequence[Condition], orders: Sequence[list[int]]) -> ClassMemory:
        """The memory of tasks of one class count, each with its classes in the given order."""
        device = next(self.denoiser.parameters()).device
        vectors = [condition.vectors[order] for condition, order in zip(conditions, orders, strict=True)]
        condition_BKE = torch.stack([self.condition_space.read(part) for part in vectors]).to(device)
        return self.denoiser.encode(condition_BKE, torch.ones(condition_BKE.shape[:2], dtype=torch.bool, device=device))

    def _reorder(self, flat_N: Tensor, order: list[int]) -> Tensor:
        """Parameters whose class slot j is class `order[j]` -> parameters whose slot k is class k."""
        spec, count = self.normalizer.spec, len(order)
        state = spec.select_classes(spec.unflatten(flat_N, count), torch.argsort(torch.tensor(order)))
        return spec.flatten(state, count)


def _key_order(condition: Condition) -> list[int]:
    return sorted(range(len(condition)), key=lambda k: condition.keys[k])
