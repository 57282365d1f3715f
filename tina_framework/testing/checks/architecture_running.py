"""How a target architecture runs: without side effects, row by row, and as a function of its parameters."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.testing.checks._randomness import normal, seeded
from tina_framework.testing.checks.architecture import (
    built,
    check_input_shape,
    check_output_width,
    logits,
    pictures,
)
from tina_framework.testing.findings import guarded, needs, require

__all__ = [
    "check_class_order",
    "check_deterministic_in_eval",
    "check_forward_changes_nothing",
    "check_functional_call",
    "check_rows_are_independent",
    "check_vmap",
]

_CLASSES = 5
_MODULE_KEYS = frozenset(vars(nn.Module()))


def _state(module: nn.Module) -> dict[str, object]:
    """Return parameters, buffers, and the plain attributes of submodules: tensors, numbers and collections."""
    kept: dict[str, object] = {name: p.detach().clone() for name, p in module.named_parameters()}
    kept |= {name: buffer.clone() for name, buffer in module.named_buffers()}
    for prefix, part in module.named_modules():
        for name, value in vars(part).items():
            if name in _MODULE_KEYS:
                continue
            if isinstance(value, Tensor):
                kept[f"{prefix}.{name}"] = value.detach().clone()
            elif isinstance(value, int | float | str | list | dict | tuple | set):
                kept[f"{prefix}.{name}"] = repr(value)
    return kept


def _same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    return bool(a == b)


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal up to the rounding of another order of summation."""
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 * max(1.0, float(b.abs().max())))


@needs(check_input_shape)
def check_forward_changes_nothing(architecture: TargetArchitecture) -> None:
    """A forward pass leaves parameters, attributes and images as they were."""
    module = built(architecture)
    for training in (False, True):
        module.train(training)
        images = pictures(architecture, 3)
        before, images_before = _state(module), images.clone()
        with seeded(0), torch.no_grad():
            module(images)
        after = _state(module)
        changed = [
            n for n in {**before, **after} if n not in before or n not in after or not _same(before[n], after[n])
        ]
        require(
            not changed,
            f"A forward pass in {'training' if training else 'evaluation'} mode changed '{(changed or [''])[0].lstrip('.')}'.",
            "Generated parameters must not change, and the logits of a picture must not depend on earlier pictures.",
            "Keep no state in forward: no running statistics, counters or in-place updates.",
        )
        require(
            torch.equal(images, images_before),
            "A forward pass changed the images it was given.",
            "The same images are given to many networks.",
            "Avoid in-place operations on the input (relu_, sub_, div_).",
        )


@needs(check_input_shape)
def check_deterministic_in_eval(architecture: TargetArchitecture) -> None:
    """In evaluation mode the same images get the same logits, whatever the random state."""
    module, images = built(architecture).eval(), pictures(architecture, 3)
    # On copies, because state that a call leaves in the network is the business of another check.
    first = logits(copy.deepcopy(module), images, seed=0)
    second = logits(copy.deepcopy(module), images, seed=1)
    require(
        torch.equal(first, second),
        f"In eval mode two calls differ by up to {float((first - second).abs().max()):.3g}.",
        "Accuracies could not be reproduced.",
        "Draw nothing in eval mode; put dropout under self.training.",
    )


@needs(check_output_width, check_deterministic_in_eval)
def check_rows_are_independent(architecture: TargetArchitecture) -> None:
    """An image gets the same logits alone and in any batch."""
    images = pictures(architecture, 4)
    for training in (False, True):
        module = built(architecture).train(training)
        together = logits(copy.deepcopy(module), images)
        if training and not torch.equal(together, logits(copy.deepcopy(module), images, seed=1)):
            continue  # rows cannot be compared under dropout, and check_vmap reports it
        for row in range(len(images)):
            alone = logits(copy.deepcopy(module), images[row : row + 1])
            require(
                _close(alone[0], together[row]),
                f"In {'training' if training else 'evaluation'} mode image {row} gets other logits alone than in a batch of 4 "
                f"(difference up to {float((alone[0] - together[row]).abs().max()):.3g}).",
                "A classifier must give a single picture the same logits as in the evaluation, which runs batches.",
                "Mix nothing over the batch axis: GroupNorm or LayerNorm instead of BatchNorm.",
            )


@needs(check_forward_changes_nothing)
def check_functional_call(architecture: TargetArchitecture) -> None:
    """The network is a differentiable function of given parameters (`torch.func.functional_call`)."""
    spec, images = ParameterSpec(architecture), pictures(architecture, 3)
    ordinary = built(architecture, _CLASSES).train()
    flat = spec.flatten(dict(ordinary.named_parameters()), _CLASSES).detach()
    leaf = flat.clone().requires_grad_(True)
    with guarded(
        "torch.func.functional_call fails on a network built on the meta device",
        "This is how generated parameters are run.",
        "Use only registered parameters in forward; make constants there, not in __init__.",
    ):
        with torch.device("meta"):
            module = architecture.build(_CLASSES).train()
        with seeded(0):
            output: Tensor = functional_call(module, spec.unflatten(leaf, _CLASSES), (images,))
        (gradient,) = torch.autograd.grad(output.square().sum(), leaf)
        expected = logits(ordinary, images)
        same = _close(output.detach(), expected)
    require(
        same,
        "When its own parameters are passed in, the network gives other logits "
        f"(difference up to {float((output.detach() - expected).abs().max()):.3g}).",
        "It does not compute with the parameters it is given.",
        "Read every parameter through self.<name> in forward; keep no second reference to it.",
    )
    require(
        bool(torch.isfinite(gradient).all()) and bool((gradient != 0).any()),
        "The gradient with respect to the parameters is zero or not finite.",
        "Generators are trained through it.",
        "Detach nothing in forward, and avoid operations without a gradient.",
    )


@needs(check_functional_call, check_deterministic_in_eval)
def check_vmap(architecture: TargetArchitecture) -> None:
    """Many networks run at once under `torch.func.vmap`, in training mode, as on a GPU."""
    spec = ParameterSpec(architecture)
    flats = normal(2, spec.num_parameters(_CLASSES)) * 0.1
    images = pictures(architecture, 6).unflatten(0, (2, 3))
    with torch.device("meta"):
        module = architecture.build(_CLASSES).train()

    def run(flat: Tensor, batch: Tensor) -> Tensor:
        output: Tensor = functional_call(module, spec.unflatten(flat, _CLASSES), (batch,))
        return output

    with guarded(
        "The network fails under torch.func.vmap",
        "On a GPU all networks of a training step run under it.",
        "Avoid .item(), branches on values, random operations (dropout) and in-place updates in forward.",
    ):
        together = vmap(run)(flats, images)
    apart = torch.stack([run(flat, batch) for flat, batch in zip(flats, images, strict=True)])
    require(
        _close(together, apart),
        f"Under torch.func.vmap logits differ by up to {float((together - apart).abs().max()):.3g}.",
        "Training on a GPU would differ from training on a CPU.",
        "Write forward with ordinary tensor operations only.",
    )


@needs(check_functional_call, check_output_width, check_deterministic_in_eval)
def check_class_order(architecture: TargetArchitecture) -> None:
    """Entry k of every class axis belongs to logit k: exchanging classes exchanges logits."""
    spec, images = ParameterSpec(architecture), pictures(architecture, 3)
    module = built(architecture, _CLASSES).eval()
    state = spec.unflatten(normal(spec.num_parameters(_CLASSES)) * 0.1, _CLASSES)
    order = torch.tensor([3, 0, 4, 1, 2])
    plain: Tensor = functional_call(module, state, (images,))
    exchanged: Tensor = functional_call(module, spec.select_classes(state, order), (images,))
    require(
        _close(exchanged, plain[:, order]),
        "When the entries of the class axes are exchanged, the logits are not exchanged with them "
        f"(difference up to {float((exchanged - plain[:, order]).abs().max()):.3g}).",
        "The framework generates classes in sorted order and restores the order of the prompt along these axes.",
        "Use entry k of each axis of length K for logit k; do not mix or reorder classes after the last layer.",
    )
