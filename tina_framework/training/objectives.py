"""Training objectives: `task` (generated networks classify images) and `denoise` (the denoiser reconstructs p-Models).

Each objective draws its examples on the host, and makes a batch of denoiser inputs of them on the device. All batches of a step go
through the denoiser in one forward pass, because data-parallel training then reduces gradients only once. The objective then
computes one loss per example.

The total loss is task_weight * L_task + denoise_weight * L_denoise, with

    L_task    = E [ cross_entropy(network(x0_hat), images, labels) ]       (this project; with a teacher, see
                                                                            `tina_framework.targets.distillation`)
    L_denoise = E [ w_t || target_t - denoiser(x_t, t, condition) ||^2 ]   (DDPM, arXiv 2006.11239, equation 14)

With k draws of a task, L_task also has the loss of their mean probabilities; see `tina_framework.targets.mean_prediction`.
In the formulas, x0_hat is the x0 that the prediction implies, target_t is what `prediction_type` says, and w_t is `loss_weights`.

Shapes: B examples, P tokens, D token width, K class slots (`max_classes`, padded), E condition width, N parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.interfaces.randomness import generator_at
from tina_framework.targets.distillation import SoftTargets
from tina_framework.targets.functional import TargetRunner
from tina_framework.targets.image_shifts import shifted
from tina_framework.training.data import TrainingImages
from tina_framework.training.draws import Draws
from tina_framework.training.objective_context import ObjectiveContext
from tina_framework.training.p_models import TrainingModels
from tina_framework.training.regressor_heads import head_inputs
from tina_framework.zoo.task_sampler import TaskSampler

__all__ = ["Batch", "DenoiseObjective", "Objective", "TaskObjective", "loss_weights"]


@dataclass
class Batch:
    """A batch of denoiser inputs, with what the objective needs to compute its losses.

    Attributes:
        condition_BKE: (B, K, E) conditioning vectors, zero in padded slots.
        class_mask_BK: (B, K) bool, True where the slot holds a class.
        noisy_BPD: (B, P, D) noisy tokens x_t.
        t_B: (B,) int64 timesteps.
        extra: values that only the objective itself reads.
    """

    condition_BKE: Tensor
    class_mask_BK: Tensor
    noisy_BPD: Tensor
    t_B: Tensor
    extra: dict[str, Any] = field(default_factory=dict)


class Objective(Protocol):
    """One term of the training loss.

    Attributes:
        name: key of this loss in the log.
        weight: factor on this loss in the total loss.
        batch_size: examples per step, over all processes.
    """

    name: str
    weight: float
    batch_size: int

    def draw(self, step: int, indices: Sequence[int]) -> Draws:
        """Draw the examples `indices` of the global batch of a step, on the host.

        Args:
            step: the optimizer step.
            indices: places in the global batch. An example depends on the seed, the step and its place only.
        """
        ...

    def batch(self, draws: Draws, denoiser: Denoiser, together: Sequence[int] = ()) -> Batch:
        """Make the denoiser inputs of examples, on the device of the run.

        Args:
            draws: from `draw`, on the device.
            denoiser: the current weights, for rollouts.
            together: the places that all processes draw at this moment, if they can run the denoiser only together. The
                objective then runs it in every process as soon as one of these places needs it.
        """
        ...

    def losses(self, predicted_BPD: Tensor, batch: Batch) -> Tensor:
        """Return (B,) one loss per example."""
        ...


class TaskObjective:
    """Cross-entropy of generated networks on training images of their tasks; with a teacher, also its soft targets.

    Most examples start from pure noise at t = T - 1, where the denoiser predicts from the prompt alone. The others are
    rollouts: the denoiser's own prediction, noised again to a random t. They train the later sampling steps to improve
    the first prediction. With `regression`, every example is zeros at t = T - 1.

    With `draws_per_task` k, each k neighbours in the batch form a group. Its examples share the task, the conditioning
    vectors, the images and the timestep, and differ in their noise. With `regression`, they differ in the fixed input of
    their head. All lists of places must consist of whole groups.

    Args:
        context: what all objectives share.
        images: training images.
        sampler: draws tasks of the training partition.
        runner: computes losses of generated networks and their gradients.
    """

    name = "task"

    def __init__(
        self, context: ObjectiveContext, images: TrainingImages, sampler: TaskSampler, runner: TargetRunner
    ) -> None:
        self.context = context
        self.images = images
        self.sampler = sampler
        self.runner = runner
        self.weight = context.config.task_weight
        self.batch_size = context.config.task_batch_size

    def draw(self, step: int, indices: Sequence[int]) -> Draws:
        context, config = self.context, self.context.config
        # Whatever a group shares is drawn at the place of its first example.
        groups, size = indices[:: config.draws_per_task], config.draws_per_task
        tasks = [self.sampler.task(step * self.batch_size + i).classes for i in groups]
        conditions = [
            context.draw_condition("task-condition", step, i, task, context.draw_unseen_classes(step, i, len(task)))
            for i, task in zip(groups, tasks, strict=True)
        ]
        starts = [t for i in groups for t in [self._rollout_timestep(step, i)] * size]
        rolled = [row for row, t in enumerate(starts) if t is not None]
        last = config.num_train_timesteps - 1
        drawn = [
            self.images.draw(task, config.images_per_task, generator_at(config.seed, "task-images", step, i))
            for i, task in zip(groups, tasks, strict=True)
        ]
        places, flips, slots = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        tensors = {
            "condition": context.pad_conditions([row for row in conditions for _ in range(size)]),
            "count": torch.tensor([len(task) for task in tasks for _ in range(size)]),
            "t": torch.tensor([last if t is None else t for t in starts]),
            "images": self.images.places(places, flips),
            "labels": slots,
        }
        if self.images.teacher is not None:
            numbers = [torch.tensor(self.images.labels_of(task)) for task in tasks]
            tensors["teacher_columns"] = torch.stack(
                [F.pad(own, (0, config.max_classes - len(own))) for own in numbers]
            )
        if config.regression:
            tensors["heads"] = head_inputs(config.seed, size, context.layout.token_width)
        else:
            tensors["noise"] = context.noise("task-noise", step, indices)
        if rolled:
            tensors["rolled"] = torch.tensor(rolled)
            tensors["rollout_noise"] = context.noise("task-rollout", step, [indices[row] for row in rolled])
        return Draws(step, indices, tensors)

    def batch(self, draws: Draws, denoiser: Denoiser, together: Sequence[int] = ()) -> Batch:
        context, config, drawn = self.context, self.context.config, draws.tensors
        condition, mask, t_B = drawn["condition"], context.class_mask(drawn["count"]), drawn["t"]
        if config.regression:
            heads_BD = drawn["heads"].repeat(len(condition) // config.draws_per_task, 1)
            noisy = heads_BD[:, None].repeat(1, context.layout.num_tokens, 1)
        else:
            noisy = drawn["noise"]
        # Only rollouts cost the second forward pass.
        if "rolled" in drawn:
            rows = drawn["rolled"]
            start = condition[rows], mask[rows], noisy[rows], t_B[rows]
            noisy = noisy.index_copy(0, rows, self._roll_out(*start, drawn["rollout_noise"], denoiser))
        elif any(self._rollout_timestep(draws.step, i) is not None for i in together[:: config.draws_per_task]):
            # Another process rolls out, and the denoiser runs in all processes or in none. The result is not used.
            self._roll_out(condition[:1], mask[:1], noisy[:1], t_B[:1], noisy[:1], denoiser)
        # One look-up for all tasks: on a GPU many small look-ups cost more than running the networks.
        images = self.images.at(drawn["images"])
        shape = (len(condition) // config.draws_per_task, config.images_per_task)
        images = images.view(*shape, *images.shape[1:])
        if config.image_shift:
            tasks = draws.indices[:: config.draws_per_task]
            own = [generator_at(config.seed, "image-shift", draws.step, index) for index in tasks]
            images = shifted(images, config.image_shift, own)
        extra: dict[str, Any] = {"images": images, "labels": drawn["labels"].view(shape)}
        logits = self.images.teacher_at(drawn["images"].view(shape), drawn.get("teacher_columns"))
        if logits is not None:
            extra["soft"] = SoftTargets(logits, config.teacher_weight, config.teacher_temperature)
        return Batch(condition, mask, noisy, t_B, extra)

    def _rollout_timestep(self, step: int, index: int) -> int | None:
        """Draw the timestep at which an example starts as a rollout; None if it starts from pure noise."""
        config = self.context.config
        draws = generator_at(config.seed, "task-timestep", step, index)
        if float(torch.rand((), generator=draws)) >= config.rollout_probability or config.regression:
            return None
        return int(torch.randint(config.num_train_timesteps - 1, (), generator=draws))

    @torch.no_grad()
    def _roll_out(
        self,
        condition: Tensor,
        mask: Tensor,
        start: Tensor,
        t_B: Tensor,
        noise: Tensor,
        denoiser: Denoiser,
    ) -> Tensor:
        """Predict x0 from `start`, which is pure noise, and return x_t of this x0 at `t_B`, made with `noise`.

        No gradient flows through this prediction: sampling, too, only reads the tokens of the step before.
        """
        context = self.context
        last = torch.full_like(t_B, context.config.num_train_timesteps - 1)
        was_training = denoiser.training
        denoiser.eval()  # sampling has no dropout either
        predicted = denoiser(condition, mask, context.model_input(start, last), last, context.layout)
        denoiser.train(was_training)
        x0 = context.process.predict_original_sample(predicted.float(), last, start)
        noisy: Tensor = context.process.add_noise(x0, noise, t_B)
        return noisy

    def losses(self, predicted_BPD: Tensor, batch: Batch) -> Tensor:
        """Return (B,) losses, differentiable with respect to the prediction.

        `TargetRunner.task_loss` computes the gradient g of each loss L at the parameters p at once, and attaches it to
        the graph as L + g . (p - stop_gradient(p)). Its value is L and its gradient is g, so the chain rule through the
        denoiser stays exact, while the target networks may run in threads.
        """
        flat_BN = self.parameters(predicted_BPD, batch)
        extra, config = batch.extra, self.context.config
        images, labels, soft = extra["images"], extra["labels"], extra.get("soft")
        group = config.draws_per_task, config.joint_weight
        return self.runner.task_loss(flat_BN, batch.class_mask_BK, images, labels, soft, *group)

    def parameters(self, predicted_BPD: Tensor, batch: Batch) -> Tensor:
        """Return the parameters (B, N) of the predicted networks at K class slots."""
        context = self.context
        x0 = context.process.predict_original_sample(predicted_BPD, batch.t_B, batch.noisy_BPD)
        if context.rows is not None:
            x0 = context.rows.add(x0, batch.condition_BKE, context.layout)
        return context.normalizer.denormalize(context.layout.scatter(x0), context.config.max_classes)


class DenoiseObjective:
    """Mean squared error of the prediction for noised p-Models of the zoo (DDPM, arXiv 2006.11239, equation 14).

    Each example draws a p-Model x0, a timestep t and noise, and forms x_t = `add_noise`(x0, noise, t). The target is

    - epsilon: the noise, as in DDPM, equation 14;
    - sample: x0, as in the prior of DALL-E 2 (arXiv 2204.06125, section 2.2);
    - v_prediction: v = sqrt(a_t) noise - sqrt(1 - a_t) x0 (Salimans & Ho, arXiv 2202.00512, appendix D);
    - flow_prediction: noise - x0 (rectified flow, arXiv 2209.03003, equation 1).

    The loss of an example is a mean over the elements of its real classes, so examples weigh the same for all class counts.

    Args:
        context: what all objectives share.
        models: the p-Models. They stay on disk: those of a step are read, normalised and widened when they are drawn.
    """

    name = "denoise"

    def __init__(self, context: ObjectiveContext, models: TrainingModels) -> None:
        self.context = context
        self.models = models
        self.classes = models.classes
        self.weight = context.config.denoise_weight
        self.batch_size = context.config.denoise_batch_size
        self._weights_T = loss_weights(context.process.alphas_cumprod, context.config).to(context.device)

    def draw(self, step: int, indices: Sequence[int]) -> Draws:
        context, config = self.context, self.context.config
        names, flats, t = [], [], []
        for i in indices:
            draws = generator_at(config.seed, "denoise", step, i)
            model = int(torch.randint(len(self.classes), (), generator=draws))
            t.append(int(torch.randint(config.num_train_timesteps, (), generator=draws)))
            order = torch.randperm(len(self.classes[model]), generator=draws)
            flat = self._read(model)
            # An equivariant tokenizer treats all slots alike, so shuffling the classes would teach nothing.
            if context.layout.equivariant:
                order = torch.arange(len(order))
            names.append([self.classes[model][k] for k in order])
            flats.append(self._reorder(flat, order))
        conditions = [
            context.draw_condition("denoise-condition", step, i, row) for i, row in zip(indices, names, strict=True)
        ]
        tensors = {
            "condition": context.pad_conditions(conditions),
            "count": torch.tensor([len(row) for row in names]),
            "t": torch.tensor(t),
            "parameters": torch.stack(flats),
            "noise": context.noise("denoise-noise", step, indices),
        }
        return Draws(step, indices, tensors)

    def batch(self, draws: Draws, denoiser: Denoiser, together: Sequence[int] = ()) -> Batch:
        context, drawn = self.context, draws.tensors
        clean, noise, t_B = context.layout.gather(drawn["parameters"]), drawn["noise"], drawn["t"]
        noisy = context.process.add_noise(clean, noise, t_B)
        target = context.process.prediction_target(clean, noise, t_B)
        return Batch(drawn["condition"], context.class_mask(drawn["count"]), noisy, t_B, {"target": target})

    def _read(self, model: int) -> Tensor:
        """Return a p-Model (N,) as standardised differences, with `max_classes` class slots."""
        count, context = len(self.classes[model]), self.context
        flat = context.normalizer.normalize(self.models.flat(model), count)
        return context.spec.widen(flat, count, context.config.max_classes)

    def _reorder(self, flat_N: Tensor, order: Tensor) -> Tensor:
        """Return the same network with its classes in another order; padded slots stay last."""
        most = self.context.config.max_classes
        if torch.equal(order, torch.arange(len(order))):
            return flat_N
        slots = torch.cat([order, torch.arange(len(order), most)])
        spec = self.context.spec
        return spec.flatten(spec.select_classes(spec.unflatten(flat_N, most), slots), most)

    def losses(self, predicted_BPD: Tensor, batch: Batch) -> Tensor:
        """Return (B,) weighted mean squared errors."""
        real = self.context.layout.element_mask(batch.class_mask_BK)
        squares = (predicted_BPD.float() - batch.extra["target"]).square().masked_fill(~real, 0.0)
        per_row = squares.flatten(1).sum(1) / real.flatten(1).sum(1)
        weighted: Tensor = per_row * self._weights_T[batch.t_B]
        return weighted


def loss_weights(alphas_cumprod_T: Tensor, config: TrainingConfig) -> Tensor:
    """Return the weight w_t of each timestep in the denoising loss.

    Without `snr_gamma` all weights are 1. With it they follow Min-SNR (arXiv 2303.09556, section 3.4), here divided by
    gamma, so that the weight is 1 where the noise is low:

        w_t = min(SNR_t, gamma) / gamma        for an error in x0, with SNR_t = a_t / (1 - a_t).

    An error in another prediction is the x0 error times a factor, by which w_t is divided:

        epsilon:          SNR_t          (Salimans & Ho, arXiv 2202.00512, section 4)
        v_prediction:     SNR_t + 1      (the same section)
        flow_prediction:  1 / s_t^2 = (1 + sqrt(SNR_t))^2,  as SNR_t = (1 - s_t)^2 / s_t^2.

    Args:
        alphas_cumprod_T: (T,) a_t, the share of signal in the variance of x_t.
        config: for `snr_gamma` and `prediction_type`.

    Returns:
        (T,) weights.
    """
    if config.snr_gamma is None:
        return torch.ones_like(alphas_cumprod_T)
    snr = alphas_cumprod_T / (1 - alphas_cumprod_T)
    weights = snr.clamp(max=config.snr_gamma) / config.snr_gamma
    if config.prediction_type == "epsilon":
        return weights / snr
    if config.prediction_type == "flow_prediction":
        return weights / (1 + snr.sqrt()) ** 2  # 1 / s = 1 + sqrt(SNR)
    return weights / (snr + 1) if config.prediction_type == "v_prediction" else weights
