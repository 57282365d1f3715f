"""Sample the parameters of many tasks in batches of equal class count.

Shapes: B batch, K classes, E condition width, N parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.row_forecast import RowForecast
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError, TinaError
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.options import SamplingOptions
from tina_framework.generator.sampling import sample_tokens, task_draws
from tina_framework.generator.scheduler import make_scheduler
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.limits import check_class_count

__all__ = ["ParameterSampler"]


@dataclass(frozen=True)
class ParameterSampler:
    """Samples flat parameters for lists of tasks.

    A task's result depends neither on the order of its classes nor on the other tasks of its batch. To that end its
    classes are sorted by their keys, and each task has its own random numbers. The result is put back into the given
    order.

    Attributes:
        config, denoiser, normalizer, condition_space: of the generator.
        layout: class count -> token layout.
        rows: the fixed forecast of class rows, if the generator has one.
    """

    config: GeneratorConfig
    denoiser: Denoiser
    normalizer: Normalizer
    condition_space: ConditionSpace
    layout: Callable[[int], TokenLayout]
    rows: RowForecast | None = None

    def sample(self, tasks: Sequence[EncodedTask], options: SamplingOptions) -> list[Tensor]:
        """Return flat parameters (N_K,), `num_samples` for each task, task by task.

        Raises:
            PromptError: a task has too few or too many classes. `SamplingOptions.compose` is not looked at here.
            ConfigError: steps or scheduler do not fit the generator.
            TinaError: a generated network has values that are not finite.
        """
        steps, num_samples = options.steps(self.config), options.num_samples
        scheduler = make_scheduler(self.config, options.scheduler)
        self._check_steps(steps, scheduler)
        self._check_class_counts(tasks)
        # A row is (index of a task, sample). Rows of one class count run together, and the samples of a task lie side by side.
        rows = [(index, sample) for index in range(len(tasks)) for sample in range(num_samples)]
        rows.sort(key=lambda row: len(tasks[row[0]]))
        done: dict[tuple[int, int], Tensor] = {}
        # Reading the mode of every part is quick. `eval()` on all of them takes longer than generating a small network.
        is_training, was_training = any(part.training for part in self.denoiser.modules()), self.denoiser.training
        if is_training:
            self.denoiser.eval()
        try:
            while len(done) < len(rows):
                window = rows[len(done) : len(done) + options.batch_size]
                count = len(tasks[window[0][0]])
                batch = [row for row in window if len(tasks[row[0]]) == count]
                with torch.inference_mode():
                    flat_BN = self._sample_batch(tasks, batch, options, scheduler, steps)
                # Cloned outside inference mode: inference tensors could not be trained further.
                done.update(zip(batch, flat_BN.clone().unbind(), strict=True))
                if options.on_progress is not None:
                    options.on_progress(len(done), len(rows))
        finally:
            if is_training:
                self.denoiser.train(was_training)
        return [done[index, sample] for index in range(len(tasks)) for sample in range(num_samples)]

    def _check_steps(self, steps: int, scheduler: NoiseScheduler) -> None:
        trained = dict(scheduler.config).get("num_train_timesteps", steps)
        if steps > trained:
            raise ConfigError(f"num_inference_steps is {steps}, but the noise process has only {trained} timesteps.")
        if steps != 1 and not self.config.initial_noise:
            raise ConfigError(
                f"num_inference_steps is {steps}, but this generator is a plain regressor, which takes one step; "
                "leave the setting out."
            )

    def _check_class_counts(self, tasks: Sequence[EncodedTask]) -> None:
        for task in tasks:
            check_class_count(len(task), self.config.max_classes, self.config.min_classes)

    def _sample_batch(
        self,
        tasks: Sequence[EncodedTask],
        rows: Sequence[tuple[int, int]],
        options: SamplingOptions,
        scheduler: NoiseScheduler,
        steps: int,
    ) -> Tensor:
        """Return (B, N) for B rows (index of a task, sample) of one class count."""
        places = {index: place for place, index in enumerate(dict.fromkeys(index for index, _ in rows))}
        count = len(tasks[rows[0][0]])
        orders = {index: _key_order(tasks[index]) for index in places}
        draws = [task_draws(options.seed, sample, sorted(tasks[index].keys)) for index, sample in rows]
        # A task is encoded once, however many samples it has.
        condition_BKE = self._conditions([tasks[index] for index in places], list(orders.values()))
        encoded = self.denoiser.encode(condition_BKE)
        if len(places) < len(rows):
            task_of_row = torch.tensor([places[index] for index, _ in rows], device=encoded.hidden_BKH.device)
            encoded, condition_BKE = encoded.select(task_of_row), condition_BKE[task_of_row]
        layout = self.layout(count)
        noise, on_step_end = self.config.initial_noise, options.on_step_end
        tokens_BPD = sample_tokens(self.denoiser, scheduler, encoded, layout, draws, steps, noise, on_step_end)
        if self.rows is not None:
            tokens_BPD = self.rows.add(tokens_BPD.float(), condition_BKE, layout)
        sorted_BN = self.normalizer.denormalize(layout.scatter(tokens_BPD).float(), count)
        # Class slot j was sampled for class `order[j]`.
        slots_BK = torch.argsort(torch.tensor([orders[index] for index, _ in rows]), dim=1)
        flat_BN = self.normalizer.spec.select_flat(sorted_BN, count, slots_BK)
        for finite, (index, _) in zip(flat_BN.isfinite().all(dim=1).tolist(), rows, strict=True):
            if not finite:
                raise TinaError(
                    f"The network generated for '{', '.join(tasks[index].class_names)}' has values that are not finite "
                    f"(after {steps} steps); the scheduler does not suit this generator, or the generator is damaged."
                )
        return flat_BN

    def _conditions(self, tasks: Sequence[EncodedTask], orders: Sequence[list[int]]) -> Tensor:
        """Return the denoiser's inputs (B, K, E) of tasks of one class count, each with its classes in the given order."""
        device = next(self.denoiser.parameters()).device
        vectors = [task.vectors[order] for task, order in zip(tasks, orders, strict=True)]
        return self.condition_space.denoiser_inputs(vectors).to(device)


def _key_order(task: EncodedTask) -> list[int]:
    return sorted(range(len(task)), key=lambda k: task.keys[k])
