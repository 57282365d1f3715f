"""What every target architecture promises: its description, its parameters, and its logits.

How it runs as a function of its parameters is checked in `architecture_running`. Shapes: N images, K classes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tina_framework.images import Preprocessing
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.trial import are_widths
from tina_framework.testing.checks._randomness import normal, seeded
from tina_framework.testing.findings import guarded, needs, require

__all__ = [
    "check_class_counts",
    "check_fields",
    "check_initial_values",
    "check_input_shape",
    "check_output_width",
    "check_parameters",
]


def built(architecture: TargetArchitecture, num_classes: int = 5) -> nn.Module:
    """Return a fresh network on the CPU, always with the same initial values."""
    with seeded(0):
        return architecture.build(num_classes)


def pictures(architecture: TargetArchitecture, number: int) -> Tensor:
    """Return random input for the generated network.

    That is (N, C, H, W) pictures, prepared as by the framework, or (N, *feature_shape) features behind a frozen trunk.
    """
    if architecture.trunk is not None:
        return normal(number, *architecture.network_input)
    return prepared_pictures(architecture, number)


def prepared_pictures(architecture: TargetArchitecture, number: int) -> Tensor:
    """Return random pictures (N, C, H, W), prepared as by the framework."""
    _, height, width = architecture.input_shape
    pixels = np.random.default_rng(0).integers(0, 256, (number, height, width, 3), dtype=np.uint8)
    return Preprocessing.of(architecture)(pixels)


def logits(module: nn.Module, images: Tensor, seed: int = 0) -> Tensor:
    """Return the logits for a copy of the images, under a known random state and without a graph."""
    with seeded(seed), torch.no_grad():
        output: Tensor = module(images.clone())
    return output


def check_fields(architecture: TargetArchitecture) -> None:
    """Name, input shape, mean, standard deviation, crop_pct and widths are well-formed and fit each other."""
    require(
        isinstance(architecture, TargetArchitecture),
        f"The architecture is a {type(architecture).__name__}.",
        "The framework asks it for name, build, input_shape, mean and std.",
        "Return a TargetArchitecture, for instance what @register_architecture gives.",
    )
    require(
        isinstance(architecture.name, str)
        and bool(re.fullmatch(r"[a-z0-9][a-z0-9._-]*(@[0-9.e+-]+)?(:.+)?", architecture.name)),
        f"The name is {architecture.name!r}.",
        "Checkpoints store it, and the registry takes lower-case letters, digits, '-', '_' and '.' only, and ':' before an argument.",
        "Use the name it is registered under.",
    )
    shape = tuple(architecture.input_shape)
    require(
        len(shape) == 3 and all(isinstance(size, int) and size > 0 for size in shape) and shape[0] in (1, 3),
        f"input_shape is {architecture.input_shape!r}.",
        "Pictures are prepared as (C, H, W) with one channel (grey) or three (RGB).",
        "Give three positive integers, the first 1 or 3.",
    )
    mean, std = tuple(architecture.mean), tuple(architecture.std)
    require(
        len(mean) == len(std) == shape[0] and all(math.isfinite(m) for m in mean) and all(s > 0 for s in std),
        f"mean is {mean} and std {std} for {shape[0]} channels.",
        "Each channel is shifted and scaled by its own finite mean and positive standard deviation.",
        f"Give {shape[0]} numbers of each.",
    )
    crop = architecture.crop_pct
    require(
        isinstance(crop, int | float) and not isinstance(crop, bool) and 0 < crop <= 1,
        f"crop_pct is {crop!r}.",
        "It is the part of each side of a picture that the network sees.",
        "Give a number above 0 and at most 1, such as 0.875.",
    )
    require(
        architecture.widths is None or are_widths(architecture.widths),
        f"widths is {architecture.widths!r}.",
        "It is the range of width multipliers at which the networks can be built; the plain name means 1.",
        "Give two numbers with 1 between them, such as (0.25, 4), or None.",
    )


def check_parameters(architecture: TargetArchitecture) -> None:
    """The parameters can be generated: no buffers, no tied weights, one axis that grows with the class count."""
    with guarded(
        "The parameters cannot be derived from build()",
        "Names, shapes and class axes are found by building on the meta device at 7 and at 11 classes.",
        "Let build(K) have parameters only, none of them shared, with the same names at every K, and K logits.",
    ):
        spec = ParameterSpec(architecture)
    with torch.device("meta"):
        types = {name: p.dtype for name, p in architecture.build(7).named_parameters()}
    for name in spec.class_axes:
        require(
            types[name] == torch.float32,
            f"Parameter '{name}' has the type {types[name]}.",
            "Generated parameters are float32.",
            "Build the network in float32.",
        )


@needs(check_parameters)
def check_class_counts(architecture: TargetArchitecture, *, class_counts: Sequence[int] = (2, 3, 16, 33)) -> None:
    """Names and shapes at every class count are those that follow from two of them."""
    spec = ParameterSpec(architecture)
    for num_classes in class_counts:
        with (
            guarded(
                f"build({num_classes}) failed",
                "A generator makes networks for any number of classes.",
                "Let build(K) work for every K from 2 up.",
            ),
            torch.device("meta"),
        ):
            found = [(name, tuple(p.shape)) for name, p in architecture.build(num_classes).named_parameters()]
        expected = [(info.name, info.shape) for info in spec.parameters(num_classes)]
        odd = [pair for pair in found if pair not in expected] + [pair for pair in expected if pair not in found]
        require(
            found == expected,
            f"build({num_classes}) has other parameters than follow from 7 and 11 classes"
            f"{f', for instance {odd[0][0]!r} of shape {odd[0][1]}' if odd else ', or in another order'}.",
            "One generator serves all class counts, so names and order must not depend on K.",
            "Build the same layers for every K; let only the class axis grow.",
        )


@needs(check_parameters)
def check_initial_values(architecture: TargetArchitecture) -> None:
    """Initial values are finite and follow from torch's seed alone."""
    with guarded("build(5) failed on the CPU", "Zoos start from networks built there.", "Make build(K) work."):
        with seeded(0):
            first = dict(architecture.build(5).named_parameters())
        with seeded(1):
            torch.manual_seed(0)  # the same seed for torch, other ones for NumPy and Python
            second = dict(architecture.build(5).named_parameters())
    for name, value in first.items():
        require(
            bool(torch.isfinite(value).all()),
            f"The initial values of '{name}' are not finite.",
            "Training starts from them.",
            "Initialise every parameter (torch.empty leaves whatever was in memory).",
        )
        require(
            torch.equal(value, second[name]),
            f"With the same torch seed, '{name}' has other initial values the second time.",
            "Zoos are rebuilt from a seed.",
            "Draw initial values with torch's global generator only, as torch.nn.init does.",
        )


@needs(check_fields, check_parameters)
def check_input_shape(architecture: TargetArchitecture) -> None:
    """The network runs on pictures of `input_shape`."""
    images = pictures(architecture, 2)
    with guarded(
        f"The network fails on images of shape {tuple(images.shape)}",
        f"input_shape {architecture.input_shape} says it takes them.",
        "Make input_shape (C, H, W) and the layers agree.",
    ):
        logits(built(architecture).eval(), images)


@needs(check_input_shape)
def check_output_width(architecture: TargetArchitecture) -> None:
    """There is one finite logit for each class and image."""
    for num_classes in (2, 5, 13):
        module = built(architecture, num_classes).eval()
        for number in (1, 3):
            output = logits(module, pictures(architecture, number))
            require(
                isinstance(output, Tensor) and tuple(output.shape) == (number, num_classes),
                f"For {number} images and {num_classes} classes the output has the shape "
                f"{tuple(getattr(output, 'shape', ())) or type(output).__name__}; expected {(number, num_classes)}.",
                "Logit k is read as the score of class k.",
                "Return one row for each image, with K logits.",
            )
            require(
                output.dtype == torch.float32 and bool(torch.isfinite(output).all()),
                f"Logits have the type {output.dtype}, or are not finite.",
                "The loss is computed from them.",
                "Return finite float32 logits for pixels in the usual range.",
            )
