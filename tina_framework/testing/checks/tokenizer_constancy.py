"""What a layout must not depend on: random state, earlier calls, the order of keys and, for its groups, the class count."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.tokenizer import ParameterTokenizer, TokenLayout
from tina_framework.testing.checks._randomness import seeded
from tina_framework.testing.checks._samples import SAMPLES, RenamedSpec
from tina_framework.testing.checks.tokenizer import cases, check_bijection, spec_of, where
from tina_framework.testing.findings import guarded, needs, require

__all__ = ["check_config_rebuilds", "check_description", "check_fixed_groups", "check_key_order", "check_repeatable"]

_FIELDS = ("source", "element_class", "group", "position", "token_class", "group_widths", "group_sizes", "equivariant")


def _difference(a: TokenLayout, b: TokenLayout) -> str:
    """Return the name of the first field in which two layouts differ, empty if they are equal."""
    for name in _FIELDS:
        first, second = getattr(a, name), getattr(b, name)
        same = torch.equal(first, second) if isinstance(first, Tensor) else first == second
        if not same:
            return name
    return ""


def check_description(tokenizer: ParameterTokenizer) -> None:
    """It has a name, and a configuration that JSON can hold."""
    name = getattr(tokenizer, "name", None)
    require(
        isinstance(name, str) and bool(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)),
        f"The tokenizer's name is {name!r}.",
        "Generators store it to find the tokenizer again.",
        "Set `name` to the name it is registered under: lower-case letters, digits, '.', '_' and '-', not starting with a sign.",
    )
    with guarded(
        "The configuration cannot be stored", "Generators store it as JSON.", "Let `config` be a dict of plain values."
    ):
        config = dict(tokenizer.config)
        again = json.loads(json.dumps(config))
    require(
        again == config,
        f"The configuration {config} comes back from JSON as {again}.",
        "A generator that is loaded would get another tokenizer.",
        "Use str, int, float, bool, None, lists and dicts with string keys (no tuples) in `config`.",
    )


@needs(check_bijection)
def check_repeatable(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """The same arguments give the same layout, whatever the earlier calls and the random state."""
    with seeded(0):
        first = [tokenizer.layout(spec, count, max_classes) for spec, count in cases(architectures, max_classes)]
    asked = list(cases(architectures, max_classes))
    with seeded(1):
        second = [tokenizer.layout(spec, count, max_classes) for spec, count in reversed(asked)][::-1]
    for (spec, count), a, b in zip(asked, first, second, strict=True):
        field = _difference(a, b)
        require(
            not field,
            f"{where(spec, count)} a second call gives another `{field}`.",
            "A generator is trained with the layout of one call and used with that of another.",
            "Let layout() depend on its arguments alone: no random numbers, counters or caches with too small a key.",
        )


@needs(check_bijection, check_repeatable)
def check_key_order(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """The layout follows the order of `spec.parameters`, and no order of a set or of `class_axes`.

    The specs used here list the names of `class_axes` in another order, or give the names other hashes, as each new
    run of Python would do.
    """
    for architecture in SAMPLES if architectures is None else architectures:
        expected = tokenizer.layout(spec_of(architecture), max_classes, max_classes)
        for salt in (None, *range(1, 7)):
            spec = RenamedSpec(architecture, salt)
            try:
                layout = tokenizer.layout(spec, max_classes, max_classes)
            except (KeyError, ValueError):
                if salt is None:
                    raise
                # A tokenizer may look parameters up by strings of its own. The renamed hashes do not match these.
                continue
            field = _difference(expected, layout)
            require(
                not field,
                f"{where(spec, max_classes)} the layout has another `{field}` when "
                f"{'class_axes lists' if salt is None else 'a set lists'} the names in another order.",
                "Each run of Python orders sets of strings differently, so a stored generator would decode wrongly.",
                "Go through spec.parameters(K), which has the order of the flat vector; never through a set or class_axes.",
            )


@needs(check_bijection)
def check_fixed_groups(
    tokenizer: ParameterTokenizer, *, architectures: Sequence[TargetArchitecture] | None = None, max_classes: int = 10
) -> None:
    """`group_widths` and `group_sizes` depend on the greatest class count alone."""
    for architecture in SAMPLES if architectures is None else architectures:
        asked = list(cases([architecture], max_classes))
        layouts = [tokenizer.layout(spec, count, max_classes) for spec, count in asked]
        most = layouts[-1]
        for (spec, count), layout in zip(asked, layouts, strict=True):
            for name in ("group_widths", "group_sizes"):
                require(
                    getattr(layout, name) == getattr(most, name),
                    f"{where(spec, count)} {name} is {getattr(layout, name)}, with {max_classes} classes "
                    f"{getattr(most, name)}; max_classes was {max_classes} in both calls.",
                    "One denoiser, whose projections have these sizes, serves every class count.",
                    f"Compute {name} from spec.parameters(max_classes).",
                )


@needs(check_description, check_repeatable)
def check_config_rebuilds(
    tokenizer: ParameterTokenizer,
    *,
    create: Callable[..., Any] | None = None,
    architectures: Sequence[TargetArchitecture] | None = None,
    max_classes: int = 10,
) -> None:
    """Its configuration rebuilds it: ``create(**config)`` gives the same layouts (`create`: by default its class)."""
    with guarded(
        f"The tokenizer cannot be made again from {dict(tokenizer.config)}",
        "A generator that is loaded does this.",
        "Take every entry of `config` as a keyword argument.",
    ):
        again = (create or type(tokenizer))(**tokenizer.config)
    for spec, count in cases(architectures, max_classes):
        field = _difference(tokenizer.layout(spec, count, max_classes), again.layout(spec, count, max_classes))
        require(
            not field,
            f"{where(spec, count)} a tokenizer made again from {dict(tokenizer.config)} gives another `{field}`.",
            "A generator that is loaded would decode wrongly.",
            "Put every setting that changes the layout into `config`.",
        )
