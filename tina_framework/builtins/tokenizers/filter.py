"""`filter`: a token for each output filter and for each class row, described by numbers instead of a position.

Networks of several architectures get tokens of one kind, so one generator can write all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from tina_framework.builtins.tokenizers._chunks import MAX_TOKENS, Token, assemble, offsets
from tina_framework.errors import ConfigError
from tina_framework.interfaces.layers import class_row_descriptor, describe_tensors, descriptor
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.interfaces.whole_numbers import whole_number

__all__ = ["FilterTokenizer"]

_SHARED, _ROWS = 0, 1
"""The two groups: tokens that all classes share, and class rows."""

_MAX_DIGITS = 20
"""Longer texts are refused as they are: Python does not read numbers of thousands of digits."""


class FilterTokenizer:
    """One token for each filter of a convolution or linear layer, for each norm and bias, and for each class.

    All tokens are padded to one width. A filter that is wider is cut into several tokens.

    Args:
        token_width: the width of all tokens: a whole number from 1 to a million. As text in ``filter:288``.

    Raises:
        ConfigError: `token_width` is out of range.
    """

    name = "filter"

    def __init__(self, token_width: int | str = 576) -> None:
        is_number = isinstance(token_width, str) and token_width.isdecimal() and len(token_width) < _MAX_DIGITS
        number = int(token_width) if is_number else token_width
        self.token_width = whole_number(number, "token_width", 1, 1_000_000)

    @property
    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments that make an equal tokenizer."""
        return {"token_width": self.token_width}

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        starts = offsets(spec, num_classes)
        tokens, descriptors = [], []
        roles = describe_tensors(spec)
        self._check_number(
            spec, num_classes + sum(role.outputs * -(-role.inputs // self.token_width) for role in roles)
        )
        for role in roles:
            start = starts[role.name]
            # The filters of a relative may be cut into more parts, of which this one has the first.
            parts = -(-(role.relative or role).inputs // self.token_width)
            for number in range(role.outputs):
                indices = torch.arange(start + number * role.inputs, start + (number + 1) * role.inputs)
                for place, part in enumerate(indices.split(self.token_width)):
                    tokens.append(Token(part, group=_SHARED, position=0))
                    descriptors.append(descriptor(role, number, place, parts))
        rows = _class_rows(spec, num_classes, starts)
        if rows.shape[1] > self.token_width:
            raise ConfigError(
                f"A class of '{spec.architecture.name}' has {rows.shape[1]} parameters, but tokens are {self.token_width} wide. "
                f"Use the tokenizer filter:{rows.shape[1]}, or a wider one."
            )
        of_row = class_row_descriptor(spec, rows.shape[1])
        tokens += [Token(row, group=_ROWS, position=0, token_class=k) for k, row in enumerate(rows)]
        descriptors += [of_row] * num_classes
        widths = (self.token_width, self.token_width)
        layout = assemble(spec, num_classes, tokens, widths, (1, 1), equivariant=True)
        return replace(layout, descriptors=torch.stack(descriptors))

    def _check_number(self, spec: ParameterSpec, count: int) -> None:
        if count > MAX_TOKENS:
            raise ConfigError(
                f"token_width={self.token_width} cuts '{spec.architecture.name}' into {count:,} tokens, but at most {MAX_TOKENS:,} are "
                "allowed. Choose a larger token_width, or a smaller max_classes."
            )


def _class_rows(spec: ParameterSpec, num_classes: int, starts: Mapping[str, int]) -> torch.Tensor:
    """Return (K, C) the places in the flat vector of the parameters of each class, small tensors first.

    So the bias comes before the weights, and has the same place in the row of a narrow network as in that of a wide one.
    """
    parts = []
    for info in spec.parameters(num_classes):
        if info.class_axis is not None:
            places = torch.arange(starts[info.name], starts[info.name] + info.numel).view(info.shape)
            parts.append(places.movedim(info.class_axis, 0).reshape(num_classes, -1))
    return torch.cat(sorted(parts, key=lambda part: part.shape[1]), dim=1)
