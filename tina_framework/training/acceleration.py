"""Apply the settings that trade exact rounding for speed on a GPU: TF32 and `torch.compile`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError, reason_of, shorten
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["compile_denoiser", "compiling", "set_tf32"]


def set_tf32(enabled: bool | None) -> None:
    """Let float32 matrix products and convolutions of CUDA round their factors to TF32, or not. It holds for the whole process.

    Args:
        enabled: None leaves torch's own choice, which is TF32 for convolutions only.
    """
    if enabled is None:
        return
    # The older names of torch. They set the newer `fp32_precision`, too, while the newer ones make the older ones raise.
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled


def compile_denoiser(denoiser: Denoiser, layout: TokenLayout, device: torch.device, config: TrainingConfig) -> None:
    """Compile the forward pass of the denoiser in place, if the settings ask for it. Names of weights do not change.

    torch compiles at the first use: once for training and once for rollouts, and once more when their number changes.

    Args:
        denoiser: after `Accelerator.prepare`, which may replace its forward pass.
        layout: of the tokens that it will read.
        device: of these tokens.
        config: for `torch_compile`, `torch_compile_backend` and `torch_compile_mode`.

    Raises:
        ConfigError: torch has no such backend.
    """
    if not config.torch_compile:
        return
    backend = config.torch_compile_backend or "inductor"
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ConfigError(
            f"torch_compile_backend is {shorten(backend)}, which torch does not have; choose one of {', '.join(sorted(known))}."
        )
    denoiser.keep_layout(layout, device)
    denoiser.compile(backend=backend, mode=config.torch_compile_mode)


@contextlib.contextmanager
def compiling(config: TrainingConfig) -> Iterator[None]:
    """Turn a failure of the compiler in this context into one sentence.

    Raises:
        ConfigError: the backend failed, for example because no C++ compiler is installed.
    """
    if not config.torch_compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # importing it takes a second

    try:
        yield
    except TorchDynamoException as error:
        cause = getattr(error, "inner_exception", None) or error
        raise ConfigError(
            f"torch could not compile the denoiser with torch_compile_backend={config.torch_compile_backend or 'inductor'} "
            f"({reason_of(cause)}). Install what it needs, choose another backend, or set torch_compile to false."
        ) from error
