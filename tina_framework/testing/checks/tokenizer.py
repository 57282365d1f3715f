"""What every parameter tokenizer promises: each parameter has one place, and the layout describes that place correctly.

What a layout must not depend on is checked in `tokenizer_constancy`. Shapes: P tokens, D token width, N parameters, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import ParameterTokenizer, TokenLayout
from tina_framework.testing.checks._randomness import normal
from tina_framework.testing.checks._samples import SAMPLES
from tina_framework.testing.findings import CheckSkipped, guarded, needs, require

__all__ = [
    "check_bijection",
    "check_element_class",
    "check_equivariance",
    "check_groups",
    "check_layout_shapes",
    "check_round_trip",
    "check_token_class",
]


@lru_cache(maxsize=32)
def spec_of(architecture: TargetArchitecture) -> ParameterSpec:
    """Return the parameters of an architecture, derived once because many checks need them."""
    return ParameterSpec(architecture)


def cases(architectures: Sequence[TargetArchitecture] | None, max_classes: int) -> Iterator[tuple[ParameterSpec, int]]:
    """Yield every architecture with two, about half and all classes."""
    for architecture in SAMPLES if architectures is None else architectures:
        spec = spec_of(architecture)
        for num_classes in sorted({2, max_classes // 2 + 1, max_classes}):
            yield spec, num_classes


def where(spec: ParameterSpec, num_classes: int) -> str:
    """Return the beginning of a finding."""
    return f"For '{spec.architecture.name}' with {num_classes} classes"


def check_bijection(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """Every parameter has exactly one place among the tokens."""
    for spec, count in cases(architectures, max_classes):
        with guarded(
            f"{where(spec, count)} layout() failed",
            "A generator asks for a layout of every class count up to its greatest.",
            "Return a TokenLayout in which each flat index from 0 to N - 1 occurs exactly once, and -1 in padding.",
        ):
            layout = tokenizer.layout(spec, count, max_classes)
        require(
            isinstance(layout, TokenLayout) and isinstance(layout.source, Tensor),
            f"{where(spec, count)} layout() returned a {type(layout).__name__}.",
            "The core encodes and decodes parameters with it.",
            "Return a TokenLayout.",
        )
        used = layout.source[layout.source >= 0]
        total = spec.num_parameters(count)
        require(
            layout.num_parameters == total
            and used.numel() == total
            and torch.equal(used.sort().values, torch.arange(total)),
            f"{where(spec, count)} the layout has {used.numel()} places ({used.unique().numel()} different) and says "
            f"num_parameters={layout.num_parameters}; the network has {total} parameters.",
            "A parameter without a place is never generated, and one with two places is generated twice.",
            "Put each flat index from 0 to N - 1 in exactly one place of `source`, and -1 in padding.",
        )


@needs(check_bijection)
def check_layout_shapes(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """All tensors of the layout are int64 and of the documented shapes."""
    for spec, count in cases(architectures, max_classes):
        layout = tokenizer.layout(spec, count, max_classes)
        tokens = layout.source.shape[0]
        for name in ("source", "element_class", "group", "position", "token_class"):
            tensor = getattr(layout, name)
            expected = tuple(layout.source.shape) if name in ("source", "element_class") else (tokens,)
            require(
                isinstance(tensor, Tensor) and tuple(tensor.shape) == expected and tensor.dtype == torch.int64,
                f"{where(spec, count)} `{name}` has the shape {tuple(getattr(tensor, 'shape', ()))} and type "
                f"{getattr(tensor, 'dtype', type(tensor).__name__)}; expected {expected} of torch.int64.",
                "The denoiser indexes with it.",
                f"Give `{name}` one int64 entry for each {'element' if len(expected) == 2 else 'token'}.",
            )
        described = layout.descriptors
        require(
            described is None
            or (
                (isinstance(described, Tensor) and described.dim() == 2 and described.shape[0] == tokens)
                and described.dtype == torch.float32
                and bool(described.isfinite().all())
            ),
            f"{where(spec, count)} `descriptors` has the shape {tuple(getattr(described, 'shape', ()))} and type "
            f"{getattr(described, 'dtype', type(described).__name__)}, or values that are not finite; there are {tokens} tokens.",
            "The denoiser reads a description of each token.",
            "Give `descriptors` one row of finite float32 numbers for each token, or leave it at None.",
        )
        require(
            layout.num_classes == count and isinstance(layout.equivariant, bool),
            f"{where(spec, count)} num_classes is {layout.num_classes!r} and equivariant {layout.equivariant!r}.",
            "The layout must state its class count, and whether the order of classes matters.",
            "Set num_classes to the argument, and equivariant to True or False.",
        )


@needs(check_layout_shapes)
def check_element_class(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """`element_class` says which class each element belongs to, and agrees with the class axes of the network."""
    for spec, count in cases(architectures, max_classes):
        layout = tokenizer.layout(spec, count, max_classes)
        real = layout.source >= 0
        truth = torch.where(real, spec.flat_class(count)[layout.source.clamp(min=0)], -1)
        wrong = torch.nonzero(layout.element_class != truth)
        place = tuple(wrong[0].tolist()) if len(wrong) else (0, 0)
        require(
            not len(wrong),
            f"{where(spec, count)} {len(wrong)} entries of `element_class` are wrong: at {place} it says "
            f"{int(layout.element_class[place])}, but that element belongs to {int(truth[place])} (-1: shared or padding).",
            "The loss and the network use it to mask elements of absent classes.",
            "Look it up: spec.flat_class(K)[source], and -1 where source is -1.",
        )


@needs(check_layout_shapes)
def check_token_class(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """A token that claims a class holds parameters of that class alone."""
    for spec, count in cases(architectures, max_classes):
        layout = tokenizer.layout(spec, count, max_classes)
        truth = spec.flat_class(count)[layout.source.clamp(min=0)]
        for token, claimed in enumerate(layout.token_class.tolist()):
            held = sorted(set(truth[token][layout.source[token] >= 0].tolist()))
            require(
                claimed == -1 or (0 <= claimed < count and held in ([], [claimed])),
                f"{where(spec, count)} token {token} says it belongs to class {claimed}, but holds parameters of {held} "
                "(-1: shared).",
                "A token is tied to its class in the prompt, and hidden if that class is absent.",
                "Set token_class to k only if all its elements belong to class k; otherwise to -1.",
            )


@needs(check_layout_shapes)
def check_groups(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """Groups and positions are in range, elements fit the group's width, and no two tokens have the same role."""
    for spec, count in cases(architectures, max_classes):
        layout = tokenizer.layout(spec, count, max_classes)
        widths, sizes = layout.group_widths, layout.group_sizes
        seen: dict[tuple[object, ...], int] = {}
        for token in range(layout.source.shape[0]):
            group, position = int(layout.group[token]), int(layout.position[token])
            inside = 0 <= group < min(len(widths), len(sizes))
            require(
                inside and 0 <= position < sizes[group],
                f"{where(spec, count)} token {token} has group {group} and position {position}; there are {len(widths)} "
                f"widths, and sizes {sizes}.",
                "Each group has its own projections and an embedding for each of its positions.",
                "Number groups from 0, and positions from 0 to group_sizes[group] - 1.",
            )
            places = torch.nonzero(layout.source[token] >= 0)
            used = int(places.max()) + 1 if len(places) else 0
            require(
                used <= widths[group] <= layout.source.shape[1],
                f"{where(spec, count)} token {token} uses places up to {used} of {layout.source.shape[1]}, and its group "
                f"{group} has the width {widths[group]}.",
                "Elements beyond the group's width are not projected.",
                "Put elements first and padding last; make group_widths the greatest used width, at most D.",
            )
            key = (group, position, int(layout.token_class[token]))
            # Tokens of one group and position may still be told apart by their descriptions.
            described = () if layout.descriptors is None else tuple(layout.descriptors[token].tolist())
            other = seen.setdefault((*key, described), token)
            require(
                other == token,
                f"{where(spec, count)} tokens {other} and {token} both have (group, position, class) {key}.",
                "The denoiser could not tell them apart and would give them the same content.",
                "Give each token of a group its own position, its own class, or its own descriptor.",
            )


@needs(check_layout_shapes, check_token_class)
def check_equivariance(
    tokenizer: ParameterTokenizer,
    *,
    architectures: Sequence[TargetArchitecture] | None = None,
    max_classes: int = 10,
    seed: int = 0,
) -> None:
    """If the layout claims to be equivariant, exchanging classes exchanges whole tokens and nothing else.

    `seed` chooses the order of the classes.
    """
    claimed = False
    for spec, count in cases(architectures, max_classes):
        layout = tokenizer.layout(spec, count, max_classes)
        if not layout.equivariant:
            continue
        claimed = True
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        # The value of each parameter is its index, so that the content of a token says where it came from.
        names = torch.arange(spec.num_parameters(count))
        after = spec.flatten(spec.select_classes(spec.unflatten(names, count), order), count)
        renumbered = torch.cat([order, torch.tensor([-1])])  # -1, shared, stays -1
        before_tokens = _by_role(layout, names, layout.token_class)
        after_tokens = _by_role(layout, after, renumbered[layout.token_class])
        different = [role for role in before_tokens if before_tokens[role] != after_tokens.get(role)]
        require(
            not different,
            f"{where(spec, count)} the layout says equivariant=True, but with the classes in the order {order.tolist()} "
            f"the token of (group, position, class) {different[0] if different else None} has other content.",
            "Training then does not shuffle the classes, and results would depend on their order.",
            "Give every class its own tokens with the same group and positions, or say equivariant=False.",
        )
    if not claimed:
        raise CheckSkipped("The layout says equivariant=False.")


def _by_role(layout: TokenLayout, flat: Tensor, token_class: Tensor) -> dict[tuple[int, int, int], list[int]]:
    """Return the content of each token, by group, position and class."""
    roles = zip(layout.group.tolist(), layout.position.tolist(), token_class.tolist(), strict=True)
    padded = torch.cat([flat, torch.tensor([-1])])
    return {role: padded[row].tolist() for role, row in zip(roles, layout.source, strict=True)}


@needs(check_bijection)
def check_round_trip(
    tokenizer: ParameterTokenizer,
    *,
    architectures: Sequence[TargetArchitecture] | None = None,
    max_classes: int = 10,
    num_classes: int = 3,
    seed: int = 0,
) -> None:
    """Parameters to tokens and back is exact, and differentiable.

    `num_classes` and `seed` choose the network and its parameters.
    """
    for architecture in SAMPLES if architectures is None else architectures:
        spec = spec_of(architecture)
        layout = tokenizer.layout(spec, num_classes, max_classes)
        flat = normal(2, spec.num_parameters(num_classes), seed=seed).requires_grad_(True)
        with guarded(
            f"{where(spec, num_classes)} gather or scatter failed",
            "Every training step goes through both.",
            "Leave gather and scatter to TokenLayout, or make them work for any batch.",
        ):
            back = layout.scatter(layout.gather(flat))
            (gradient,) = torch.autograd.grad(back.sum(), flat)
        require(
            back.shape == flat.shape and torch.equal(back, flat) and bool((gradient == 1).all()),
            f"{where(spec, num_classes)} parameters come back changed from tokens, or without their gradient.",
            "Denoisers are trained on the zoo's networks as tokens, so a loss there cannot be undone.",
            "Leave gather and scatter to TokenLayout, or make scatter the inverse of gather.",
        )
