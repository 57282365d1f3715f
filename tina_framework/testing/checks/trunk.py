"""What a frozen trunk promises: its weights are fixed, and the features of a picture depend on that picture alone.

Shapes: N pictures.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.testing.checks._randomness import seeded
from tina_framework.testing.checks.architecture import check_fields, prepared_pictures
from tina_framework.testing.findings import guarded, needs, require

__all__ = ["check_trunk"]


@needs(check_fields)
def check_trunk(architecture: TargetArchitecture) -> None:
    """The frozen trunk, if there is one: fixed weights, features of the promised shape, picture by picture."""
    trunk = architecture.trunk
    if trunk is None:
        return  # not a skip, which would be reported for nearly every architecture
    shape = tuple(trunk.feature_shape)
    require(
        isinstance(trunk.name, str) and bool(trunk.name) and all(isinstance(n, int) and n > 0 for n in shape),
        f"The trunk's name is {trunk.name!r} and its feature_shape {trunk.feature_shape!r}.",
        "Saved folders record the name, and networks are built for the shape.",
        "Give a name and a tuple of positive integers.",
    )
    require(
        trunk.space is None or (isinstance(trunk.space, str) and bool(trunk.space) and len(shape) == 1),
        f"The trunk's space is {trunk.space!r}, with features of shape {shape}.",
        "Features are compared with an encoder's text vectors of that space.",
        "Give the id that the encoder states, and features of one axis; or None.",
    )
    with guarded("The trunk cannot be built", "Its features are what the network reads.", "Make its build() work."):
        with seeded(0):
            first = trunk.build()
        with seeded(1):
            second = trunk.build()
    require(
        isinstance(first, nn.Module),
        f"The trunk's build() returned a {type(first).__name__}.",
        "It is called with pictures and moved between devices.",
        "Return a torch.nn.Module with its weights loaded.",
    )
    ours, theirs = first.state_dict(), second.state_dict()
    changed = [name for name in ours if name not in theirs or not torch.equal(ours[name], theirs[name])]
    require(
        not changed and ours.keys() == theirs.keys(),
        f"Built twice, the trunk has different weights{f', for instance {changed[0]!r}' if changed else ''}.",
        "A saved head fits one trunk only.",
        "Load trained weights from a file in build(); leave none at random initial values.",
    )
    _check_skeleton(trunk, ours)
    images = prepared_pictures(architecture, 4)
    first.eval()
    with guarded(
        f"The trunk fails on images of shape {tuple(images.shape)}",
        f"input_shape {architecture.input_shape} says it takes them.",
        "Make input_shape and the trunk agree.",
    ):
        together, again = _features(first, images, 0), _features(first, images, 1)
    require(
        tuple(together.shape) == (4, *shape) and together.dtype == torch.float32 and bool(together.isfinite().all()),
        f"For 4 images the trunk gives {tuple(together.shape)} of type {together.dtype}; expected finite float32 {(4, *shape)}.",
        "The generated network is built for features of feature_shape.",
        "Make feature_shape what the trunk returns.",
    )
    require(
        torch.equal(together, again),
        "In eval mode the trunk gives the same images other features the second time.",
        "Features are computed once and kept.",
        "Draw no random numbers and keep no state in the trunk's forward.",
    )
    alone = torch.cat([_features(first, images[row : row + 1], 0) for row in range(4)])
    slack = 1e-3 * max(1e-3, float(together.abs().max()))
    require(
        torch.allclose(alone, together, rtol=1e-3, atol=slack),
        f"An image gets other features alone than in a batch (difference up to {float((alone - together).abs().max()):.3g}).",
        "A classifier must give a single picture the same logits as in the evaluation, which runs batches.",
        "Mix nothing over the batch axis in eval mode.",
    )
    require(
        math.isclose(float(together.std(dim=0).max()), 0.0) is False,
        "All images get the same features.",
        "No network can tell images apart by them.",
        "Load the trained weights; check that forward uses the images.",
    )


def _check_skeleton(trunk: FrozenTrunk, state: dict[str, Tensor]) -> None:
    """The network without weights, if there is one, takes the weights of the other."""
    if trunk.skeleton is None:
        return
    with guarded("The skeleton cannot be built", "Saved weights are loaded into it.", "Make skeleton() work."):
        found = trunk.skeleton().state_dict()
    shapes, expected = ({name: tuple(t.shape) for name, t in each.items()} for each in (found, state))
    odd = sorted(name for name in {**shapes, **expected} if shapes.get(name) != expected.get(name))
    require(
        not odd,
        f"The skeleton's tensors are not those of build(){f', for instance {odd[0]!r}' if odd else ''}.",
        "The weights of a classifier that was saved with its trunk are loaded into it.",
        "Let skeleton() return the network that build() loads its weights into.",
    )


def _features(module: nn.Module, images: Tensor, seed: int) -> Tensor:
    with seeded(seed), torch.no_grad():
        features: Tensor = module(images.clone())
    return features
