"""Transformer blocks like those of GPT-2 (layer norm first, GELU), but without a causal mask.

Shapes: B batch, S sequence, H hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

__all__ = ["Block", "BlockStack"]


class Block(nn.Module):
    """Self-attention and an MLP, each on a residual branch: x + attention(norm(x)), then x + mlp(norm(x)).

    It has (4 + 2 r) H^2 + (9 + r) H parameters at MLP ratio r.

    Args:
        hidden_size: H.
        num_heads: number of attention heads; divides H.
        mlp_ratio: r, the width of the MLP over H.
        dropout: dropout rate of attention weights and both residual branches, in training only.
    """

    def __init__(self, hidden_size: int, num_heads: int, mlp_ratio: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_out = nn.Linear(hidden_size, hidden_size)
        self.mlp_norm = nn.LayerNorm(hidden_size)
        self.mlp_in = nn.Linear(hidden_size, mlp_ratio * hidden_size)
        self.mlp_out = nn.Linear(mlp_ratio * hidden_size, hidden_size)

    def forward(self, x_BSH: Tensor, visible_BS: Tensor | None, needed_from: int = 0) -> Tensor:
        """(B, S, H) -> (B, S - `needed_from`, H).

        Args:
            x_BSH: the sequence.
            visible_BS: (B, S) bool, the positions that attention may read. The others get a value, but influence nothing. None:
                all positions.
            needed_from: the first position whose result is needed. Attention reads those before it, too.
        """
        batch, length, hidden = x_BSH.shape
        heads = self.query_key_value(self.attention_norm(x_BSH)).view(batch, length, 3, self.num_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if visible_BS is None else visible_BS[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query[:, :, needed_from:], key, value, attn_mask=mask, dropout_p=dropout)
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(batch, length - needed_from, hidden))
        x_BSH = x_BSH[:, needed_from:] + F.dropout(mixed, self.dropout, self.training)
        update = self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x_BSH)), approximate="tanh"))
        return x_BSH + F.dropout(update, self.dropout, self.training)


class BlockStack(nn.Module):
    """Blocks in sequence and a final layer norm. Without blocks it is the identity, without a norm.

    Attributes:
        checkpointing: whether the backward pass recomputes the activations of each block instead of keeping them.
    """

    def __init__(
        self, num_layers: int, hidden_size: int, num_heads: int, mlp_ratio: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.checkpointing = False
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads, mlp_ratio, dropout) for _ in range(num_layers))
        self.norm: nn.Module = nn.LayerNorm(hidden_size) if num_layers else nn.Identity()

    def reset_parameters(self) -> None:
        """Draw all weights with variance 1 / fan-in.

        The last layers of residual branches get weights smaller by sqrt(2 * number of blocks), as in GPT-2. So the
        variance of the sum of all branches does not grow with the depth.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)
        with torch.no_grad():
            for block in self.blocks:
                assert isinstance(block, Block)
                for last in (block.attention_out, block.mlp_out):
                    last.weight.mul_(1.0 / math.sqrt(2 * len(self.blocks)))

    def forward(self, x_BSH: Tensor, visible_BS: Tensor | None, needed_from: int = 0) -> Tensor:
        """(B, S, H) -> (B, S - `needed_from`, H); arguments as for `Block`."""
        for number, block in enumerate(self.blocks, start=1):
            # Later blocks read all positions, so only the last one can leave some out.
            start = needed_from if number == len(self.blocks) else 0
            if self.checkpointing and torch.is_grad_enabled():
                x_BSH = checkpoint(block, x_BSH, visible_BS, start, use_reentrant=False)
            else:
                x_BSH = block(x_BSH, visible_BS, start)
        if not len(self.blocks):
            x_BSH = x_BSH[:, needed_from:]
        normed: Tensor = self.norm(x_BSH)
        return normed


def init_linear(linear: nn.Linear) -> None:
    """Draw normal weights of variance 1 / fan-in and set the bias to zero. At H = 2048 the standard deviation is 0.022, near GPT-2's 0.02."""
    nn.init.normal_(linear.weight, std=1.0 / math.sqrt(linear.in_features))
    nn.init.zeros_(linear.bias)
