"""The inputs of a regressor that answers each prompt with several networks, one for each head.

Shapes: H heads, D token width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tina_framework.interfaces.randomness import generator_at

__all__ = ["head_inputs"]


def head_inputs(seed: int, heads: int, token_width: int) -> Tensor:
    """Return the fixed input (H, D) of each head, on the host. Every token of a network reads the same input.

    Head 0 reads zeros, so the exported generator, which starts from zeros, is head 0. The others read standard normal
    numbers. They are equal for all tokens, so the order of the classes makes no difference.

    Args:
        seed: the seed of the training run.
        heads: number of heads.
        token_width: width of a token.
    """
    inputs = torch.zeros(heads, token_width)
    for head in range(1, heads):
        inputs[head].normal_(generator=generator_at(seed, "regressor-head", head))
    return inputs
