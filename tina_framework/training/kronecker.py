"""Kronecker factors of the generic model's Fisher information: which changes of a layer its outputs feel most.

Natural images make neighbouring pixels alike. So a small change of a kernel's mean alters the network a lot, and a change of its
fine structure hardly at all. Training in whitened coordinates gives both the same step.

K-FAC (Martens & Grosse, arXiv 1503.05671, section 3; Grosse & Martens, arXiv 1602.01573, section 3, for convolutions) approximates the
Fisher matrix of a layer by G (x) A, with

    A = E[a a^T]    over the layer's inputs a, (I, I); for a convolution, over all patches
    G = E[g g^T]    over the loss's derivatives g by the layer's outputs, (O, O)

Unlike K-FAC, the labels are those of the pictures (the empirical Fisher matrix), not drawn from the network.

A difference is then dW = left Z right with left = (G + d I)^-1/2 and right = (A + d I)^-1/2. Both are scaled so that the mean square of
their eigenvalues is 1. The damping d is a share of the mean eigenvalue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.denoiser.whitening import Whitening, factor_shapes
from tina_framework.interfaces.random_state import seeded_random_state
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.p_models import network

__all__ = ["fit_whitening"]

MOST_COLUMNS = 1200
"""Larger factors are left out: they would be larger than the network itself."""

Draw = Callable[[int], tuple[Tensor, Tensor, Tensor]]
"""A function from a task's number to the generic model's rows (K,) of its classes, and images (M, ...) with labels (M,)."""


def fit_whitening(
    spec: ParameterSpec, generic: Mapping[str, Tensor], draw: Draw, num_tasks: int, damping: float
) -> Whitening | None:
    """Return the whitening of all convolutions and linear layers, computed on some tasks; None if there is no such layer.

    Layers with groups, with another padding than zeros, or with inputs wider than `MOST_COLUMNS` are left out.

    Args:
        spec: the architecture's parameters.
        generic: the generic model.
        draw: gives the tasks and their images.
        num_tasks: number of tasks.
        damping: added to the eigenvalues, as a share of their mean.
    """
    wanted = factor_shapes(spec, list(spec.class_axes))
    sums: dict[str, Tensor] = {}
    for number in range(num_tasks):
        rows, images, labels = draw(number)
        flat = spec.flatten(spec.select_classes(generic, rows), len(rows))
        with seeded_random_state(0):  # building draws random weights, which are then replaced
            module = network(spec, flat.to(images.device), len(rows)).eval()
        for name, matrix in _second_moments(module, images.float(), labels).items():
            if name not in wanted:  # classes have no left factor, because each is a row
                continue
            sums[name] = sums[name] + matrix if name in sums else matrix
    # In the order of the parameters, so that folders list them alike.
    factors = {name: inverse_root(sums[name], damping) for name in wanted if name in sums}
    return Whitening(spec, factors) if factors else None


def inverse_root(matrix: Tensor, damping: float) -> Tensor:
    """Return the inverse square root of a damped symmetric matrix, scaled so that its eigenvalues have mean square 1."""
    values, vectors = torch.linalg.eigh(matrix.double())
    values = values.clamp(min=0)
    roots = (values + damping * values.mean().clamp(min=1e-30)).rsqrt()
    roots = roots / roots.square().mean().sqrt()
    root: Tensor = (vectors * roots) @ vectors.T
    return root.float()


def _second_moments(module: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return ``right.NAME``: sums of a a^T, and ``left.NAME``: sums of g g^T, of all layers that can be whitened."""
    layers = {f"{name}.weight": layer for name, layer in module.named_modules() if _can_be_whitened(layer)}
    found: dict[str, Tensor] = {}

    def listen(name: str) -> Callable[[nn.Module, Sequence[Tensor], Tensor], None]:
        def on_forward(layer: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
            found[f"right.{name}"] = _gram(_patches(layer, inputs[0].detach()))
            channels = 1 if isinstance(layer, nn.Conv2d) else -1
            output.register_hook(lambda gradient: on_gradient(gradient.movedim(channels, -1)))

        def on_gradient(gradient: Tensor) -> None:
            found[f"left.{name}"] = _gram(gradient.flatten(0, -2))

        return on_forward

    handles = [layer.register_forward_hook(listen(name)) for name, layer in layers.items()]
    try:
        with torch.enable_grad():
            F.cross_entropy(module(images), labels, reduction="sum").backward()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _gram(rows_MI: Tensor) -> Tensor:
    return rows_MI.double().T @ rows_MI.double() / len(rows_MI)


def _can_be_whitened(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Linear):
        return layer.in_features <= MOST_COLUMNS
    if isinstance(layer, nn.Conv2d):
        columns = layer.weight[0].numel()
        return layer.groups == 1 and layer.padding_mode == "zeros" and columns <= MOST_COLUMNS
    return False


def _patches(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Return what each output of a layer is computed from: (M, I)."""
    if isinstance(layer, nn.Conv2d):
        padding = layer.padding
        if isinstance(padding, str):  # "same" or "valid"
            widths = layer._reversed_padding_repeated_twice if padding == "same" else [0, 0, 0, 0]
            inputs, padding = F.pad(inputs, widths), (0, 0)
        columns = F.unfold(inputs, layer.kernel_size, layer.dilation, padding, layer.stride)
        return columns.transpose(1, 2).flatten(0, 1)
    return inputs.flatten(0, -2)
