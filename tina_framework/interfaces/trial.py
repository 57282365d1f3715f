"""Run the network of an architecture once, on a few random pictures, before anything is trained or generated with it.

The author of a network sees here what would fail much later, in the middle of a training run. The conformance kit checks more.
Shapes: N pictures, K classes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tina_framework.errors import PluginError, TinaError, reason_of, shorten
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.random_state import seeded_random_state
from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["are_widths", "try_network"]

_CLASSES = 3
_MAX_PARAMETERS = 50_000_000
"""Maximum number of parameters of a network that is run. A larger one would take noticeable time and memory."""


def try_network(spec: ParameterSpec) -> None:
    """Build and run the network of an architecture, and refuse one that cannot be trained or generated.

    The random state of the caller is not changed.

    Args:
        spec: the parameters of the architecture.

    Raises:
        PluginError: the network fails, returns something other than finite float32 logits (N, K), changes its input, mixes
            pictures, or does not compute with the parameters that it is given.
    """
    what, shape = f"Architecture '{spec.architecture.name}'", spec.architecture.network_input
    _check_fields(what, spec.architecture)
    if spec.num_parameters(_CLASSES) > _MAX_PARAMETERS:
        return
    pictures = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with seeded_random_state(0), torch.inference_mode(False):
        try:
            module = spec.architecture.build(_CLASSES)
        except (TinaError, MemoryError):
            raise
        except Exception as error:  # code of a plugin may raise anything
            raise PluginError(
                f"{what} cannot be built for {_CLASSES} classes on the CPU ({reason_of(error)}). Let build(K) work for every K."
            ) from error
        state = {name: parameter.detach() for name, parameter in module.named_parameters()}
        _check_values(what, module.eval(), pictures)
        _check_function(what, spec, state, pictures)


def _check_fields(what: str, architecture: TargetArchitecture) -> None:
    """Check the description of an architecture."""
    shapes = {"input_shape": architecture.input_shape}
    if architecture.trunk is not None:
        shapes["feature_shape"] = architecture.trunk.feature_shape  # type: ignore[assignment]
    for name, shape in shapes.items():
        whole = isinstance(shape, tuple) and all(type(size) is int and size > 0 for size in shape)
        if not whole or (name == "input_shape" and (len(shape) != 3 or shape[0] not in (1, 3))):
            wanted = (
                "three positive whole numbers (C, H, W), the first 1 or 3"
                if name == "input_shape"
                else "positive whole numbers"
            )
            raise PluginError(f"{what}: {name} is {shorten(shape)}; give {wanted}.")
    channels = architecture.input_shape[0]
    for name, values in (("mean", architecture.mean), ("std", architecture.std)):
        good = isinstance(values, tuple) and len(values) == channels
        if not good or not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            raise PluginError(f"{what}: {name} is {shorten(values)}; give {channels} numbers, one for each channel.")
    if min(architecture.std) <= 0:
        raise PluginError(
            f"{what}: std is {shorten(architecture.std)}; every number must be above 0, because pixels are divided by it."
        )
    crop = architecture.crop_pct
    if isinstance(crop, bool) or not isinstance(crop, int | float) or not 0 < crop <= 1:
        raise PluginError(f"{what}: crop_pct is {shorten(crop)}; give a number above 0 and at most 1, such as 0.875.")
    if architecture.widths is not None and not are_widths(architecture.widths):
        raise PluginError(
            f"{what}: widths is {shorten(architecture.widths)}; give the least and the greatest multiplier, with 1 between them, "
            "such as (0.25, 4)."
        )


def are_widths(value: Any) -> bool:
    """Whether these are the least and the greatest width multiplier of a family, above 0 and with 1 between them."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        return False
    return bool(0 < value[0] <= 1 <= value[1] < math.inf)


def _run(what: str, run: Any, pictures: Tensor, fix: str) -> Any:
    """Call the network, and say what failed."""
    try:
        return run(pictures)
    except (TinaError, MemoryError):
        raise
    except Exception as error:
        raise PluginError(
            f"{what} fails on {len(pictures)} pictures of shape {tuple(pictures.shape[1:])} ({reason_of(error)}). {fix}"
        ) from error


def _check_values(what: str, module: nn.Module, pictures: Tensor) -> None:
    """Check what the network returns, and that it treats each picture by itself."""
    given = pictures.clone()
    with torch.no_grad():
        output = _run(what, module, given, "Make input_shape and the layers agree.")
        check_logits(what, output, (len(pictures), _CLASSES))
        if not torch.equal(given, pictures):
            raise PluginError(
                f"{what} changes the pictures it is given. Many networks read the same pictures: use no in-place operation "
                "(relu_, sub_, ReLU(inplace=True)) on the input."
            )
        alone = _run(
            what, module, pictures[:1].clone(), "Let it take a single picture: use GroupNorm instead of BatchNorm."
        )
    if not torch.allclose(alone[0], output[0], rtol=1e-3, atol=1e-4 * max(1.0, float(output.abs().max()))):
        raise PluginError(
            f"{what} gives a picture other logits alone than beside another picture. Mix nothing over the batch: use GroupNorm "
            "instead of BatchNorm, and draw no random numbers in evaluation mode."
        )


def check_logits(what: str, output: Any, shape: tuple[int, int]) -> None:
    """Refuse an output that is not finite float32 logits of this shape (N, K).

    Raises:
        PluginError: the message says what the network returned instead, and what to return.
    """
    if not isinstance(output, Tensor):
        keys = [str(key) for key in output] if hasattr(output, "keys") else []
        found, fix = f"a {type(output).__name__}", "return one tensor (N, K)"
        if keys:
            best = "logits" if "logits" in keys else keys[0]
            found += f" with the keys {', '.join(map(repr, keys[:5]))}"
            fix = f"return the tensor itself, e.g. output[{best!r}]"
        elif isinstance(output, list | tuple):
            fix = "return the tensor itself, e.g. output[0]"
        raise PluginError(f"{what} returns {found}, not logits; {fix}.")
    if tuple(output.shape) != shape:
        raise PluginError(
            f"{what} returns the shape {tuple(output.shape)} for {shape[0]} pictures and {shape[1]} classes; "
            f"return {shape}: one row for each picture, one logit for each class."
        )
    if output.dtype != torch.float32:
        kind = str(output.dtype).removeprefix("torch.")
        raise PluginError(f"{what} returns logits of the type {kind}; return float32, e.g. output.float().")
    if not bool(output.isfinite().all()):
        raise PluginError(
            f"{what} returns logits that are not finite for ordinary pictures. Avoid divisions by zero, and logarithms and roots "
            "of negative numbers; and initialise every parameter."
        )


def _check_function(what: str, spec: ParameterSpec, state: dict[str, Tensor], pictures: Tensor) -> None:
    """Check that the network computes with the parameters it is given, and that they get gradients."""
    flat = spec.flatten(state, _CLASSES).clone().requires_grad_(True)
    with torch.device("meta"):  # as generated parameters are run: they are the only tensors with values
        module = spec.architecture.build(_CLASSES).train()
    with torch.enable_grad():
        output = _run(
            what,
            lambda given: functional_call(module, spec.unflatten(flat, _CLASSES), (given,)),
            pictures.clone(),
            "Generated parameters are put into a network built on the meta device, so make constant tensors in forward() "
            "instead of __init__, and keep no second reference to a parameter.",
        )
        check_logits(what, output, (len(pictures), _CLASSES))
        if not output.requires_grad:
            raise PluginError(
                f"{what} returns logits without a gradient. Use no torch.no_grad(), .detach(), .numpy() or .data in forward()."
            )
