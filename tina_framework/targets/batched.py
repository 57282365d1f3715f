"""Train many networks at once by the SGD recipe, under `torch.func.vmap`. This is faster than one by one on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from tina_framework.errors import ConfigError, TrainingError
from tina_framework.interfaces.randomness import generator_at
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.distillation import image_losses
from tina_framework.targets.functional import autocast
from tina_framework.targets.image_shifts import check_shift, shifted
from tina_framework.targets.sgd import (
    SGDRecipe,
    epoch_draws,
    learning_rate,
    needs_teacher,
    pick_images,
)

__all__ = ["fit_batched"]


def fit_batched(
    spec: ParameterSpec,
    num_classes: int,
    starts_MN: Tensor,
    images: Tensor,
    indices: Sequence[Tensor],
    labels: Sequence[Tensor],
    recipe: SGDRecipe,
    seeds: Sequence[int],
    mirrored: Tensor | None = None,
    teachers: Sequence[Tensor] | None = None,
) -> Tensor:
    """Train M networks of one class count, each as `tina_framework.targets.sgd.fit` trains it alone.

    Args:
        spec: the architecture's parameters.
        num_classes: K, the same for all networks.
        starts_MN: (M, N) initial parameters.
        images: (A, C, H, W) float32, the images of all classes, on the device to train on.
        indices: M tensors (n,) of rows of `images`: the images of each network's task; the same n for all networks.
        labels: M tensors (n,): their labels 0..K-1.
        recipe: how to train.
        seeds: M seeds.
        mirrored: see `tina_framework.targets.sgd.pick_images`.
        teachers: M tensors (2, n, K): a teacher's logits of each network's images and of the mirrored ones.

    Returns:
        (M, N) trained parameters.

    Raises:
        ConfigError: the recipe needs a teacher, and there is none; or the images cannot be shifted as it says.
        TrainingError: a loss is not finite.
    """
    check_shift(recipe.image_shift, spec.architecture)
    if recipe.teacher_weight and teachers is None:
        raise ConfigError(needs_teacher(recipe))
    device = images.device
    with torch.device("meta"):
        module = spec.architecture.build(num_classes).train()
    flats = starts_MN.to(device).clone()
    momenta = torch.zeros_like(flats)
    rows_Mn = torch.stack([part.to(device) for part in indices])
    slots_Mn = torch.stack([part.to(device) for part in labels])
    if not recipe.teacher_weight:
        teachers = None
    teacher_M2nK = None if teachers is None else torch.stack([part.to(device) for part in teachers])
    each_network = torch.arange(len(flats), device=device)[:, None]
    count = rows_Mn.shape[1]
    steps_per_epoch, total_steps = recipe.steps(count)
    average_from = total_steps - round(recipe.average_last * total_steps)
    sums, averaged, step, epoch = torch.zeros_like(flats), 0, 0, 0

    def forward(flat: Tensor, batch: Tensor) -> Tensor:
        output: Tensor = functional_call(module, spec.unflatten(flat, num_classes), (batch,))
        return output

    while step < total_steps:
        draws = [epoch_draws(seed, epoch, count) for seed in seeds]
        order_Mn = torch.stack([order for order, _ in draws]).to(device)
        flips_Mn = torch.stack([flips for _, flips in draws]).to(device)
        for index in range(min(steps_per_epoch, total_steps - step)):
            picks = order_Mn[:, index * recipe.batch_size : (index + 1) * recipe.batch_size]
            rows = rows_Mn.gather(1, picks)
            flips = flips_Mn.gather(1, picks) & recipe.flip
            batch = pick_images(images, rows, flips, mirrored) if recipe.flip else images[rows]
            if recipe.image_shift:
                own = [generator_at(seed, "image-shift", epoch, index) for seed in seeds]
                batch = shifted(batch, recipe.image_shift, own)
            targets = slots_Mn.gather(1, picks)
            leaf = flats.detach().requires_grad_(True)
            with autocast(device, recipe.precision):
                output = vmap(forward)(leaf, batch)
            # The networks share no parameters. So the gradient of the summed losses is each network's own gradient.
            said = None if teacher_M2nK is None else teacher_M2nK[each_network, flips.long(), picks]
            loss = image_losses(output.float(), targets, recipe.soft_targets(said)).mean(dim=1)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
            gradient = gradient + recipe.weight_decay * flats
            momenta = gradient.clone() if step == 0 else recipe.momentum * momenta + gradient
            update = gradient + recipe.momentum * momenta if recipe.nesterov else momenta
            flats = flats - learning_rate(recipe, step, total_steps, steps_per_epoch) * update
            step += 1
        epoch += 1
        if not bool(loss.isfinite().all()):
            raise TrainingError(
                f"A loss became non-finite in epoch {epoch}; lower the learning rate (now {recipe.lr})."
            )
        if recipe.average_last > 0 and step > average_from:
            sums, averaged = sums + flats, averaged + 1
    return sums / averaged if averaged else flats
