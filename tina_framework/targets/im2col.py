"""Convolutions as matrix products, for many networks at once.

Shapes: M images, C input channels, O output channels, H, W: size of the output, k: height times width of the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Im2col"]


class Im2col(TorchFunctionMode):
    """In this context, 2D convolutions copy the patches of the images and multiply them by the kernels.

    `torch.func.vmap` over networks turns their convolutions into one grouped convolution. With this context it turns them into one
    batched matrix product, which some GPUs compute faster. It needs k times the memory. Results differ by rounding. On a CPU it is
    slower. Convolutions with groups, dilation or a named padding are left as they are.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d:
            values = dict(
                zip(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), args, strict=False)
            )
            values |= dict(kwargs or {})
            padding = values.get("padding", 0)
            plain = values.get("groups", 1) == 1 and _pair(values.get("dilation", 1)) == (1, 1)
            if plain and not isinstance(padding, str) and values["input"].dim() == 4:
                return _conv2d(
                    values["input"],
                    values["weight"],
                    values.get("bias"),
                    _pair(values.get("stride", 1)),
                    _pair(padding),
                )
        return func(*args, **(kwargs or {}))


def _pair(value: Any) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, Sequence) else (value,)
    return (pair[0], pair[-1])


def _conv2d(
    images: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Return the convolution (M, O, H, W) of images (M, C, ...) with kernels (O, C, ...)."""
    if any(padding):
        images = F.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    patches = images.unfold(2, weight.shape[2], stride[0]).unfold(3, weight.shape[3], stride[1])
    columns = patches.permute(0, 2, 3, 1, 4, 5).flatten(3)  # (M, H, W, C k), the only copy
    product = columns @ weight.flatten(1).T
    return (product if bias is None else product + bias).permute(0, 3, 1, 2)
