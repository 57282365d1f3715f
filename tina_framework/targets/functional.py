"""Target networks as functions of their parameters: losses and gradients of many generated networks at once.

On a GPU the networks run under vmap. On a CPU each runs by itself, in threads: small networks are faster that way than under
vmap, and torch runs a backward pass in the thread that calls it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["TargetRunner", "autocast", "resolve_precision"]


@functools.cache
def _cpu_has_bf16() -> bool:
    """Return whether the processor multiplies bfloat16 natively; otherwise autocast is slower than float32."""
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False


def resolve_precision(device: torch.device, precision: str) -> str:
    """Replace ``auto`` by ``bf16`` if that is fast on the device, else by ``fp32``. Other values are returned unchanged."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if device.type == "cpu" and _cpu_has_bf16() else "fp32"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return a context manager: bfloat16 autocast for ``bf16``, otherwise one that does nothing."""
    if resolve_precision(device, precision) == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


class TargetRunner:
    """Evaluate generated networks of one architecture on images.

    Args:
        spec: the architecture's parameters.
        precision: ``fp32``, ``bf16`` or ``auto``.
        workers: threads on a CPU (1: in the calling thread).
    """

    def __init__(self, spec: ParameterSpec, precision: str = "auto", workers: int = 1) -> None:
        self.spec = spec
        self.precision = precision
        self._modules: dict[tuple[int, int], nn.Module] = {}
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def _module(self, num_classes: int) -> nn.Module:
        # One module per thread: functional_call puts the parameters into the module during the call. Two threads that
        # shared a module would use each other's weights.
        key = (threading.get_ident(), num_classes)
        if key not in self._modules:
            with torch.device("meta"):
                self._modules[key] = self.spec.architecture.build(num_classes).train()
        return self._modules[key]

    def logits(self, flat_N: Tensor, num_classes: int, images: Tensor) -> Tensor:
        """Return the logits (M, K) of one network (N,) for images (M, C, H, W). They are differentiable."""
        state = self.spec.unflatten(flat_N, num_classes)
        output: Tensor = functional_call(self._module(num_classes), state, (images,))
        return output

    def _loss_and_gradient(
        self, flat_N: Tensor, num_classes: int, images: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = flat_N.detach().requires_grad_(True)
            with autocast(images.device, self.precision):
                output = self.logits(leaf, num_classes, images)
            loss = F.cross_entropy(output.float(), labels)
            (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), gradient

    def losses_and_gradients(
        self, flats: Sequence[Tensor], num_classes: Sequence[int], images: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the cross-entropy of each network on its own images, and the gradient for the network's parameters.

        Args:
            flats: B vectors (N_b,), one per network.
            num_classes: B class counts.
            images: B tensors (M, C, H, W).
            labels: B tensors (M,).

        Returns:
            (B,) mean losses, and B gradients (N_b,). Neither carries an autograd graph: see `task_loss`.
        """
        if images[0].device.type == "cuda":
            return self._batched(flats, num_classes, images, labels)
        calls = list(zip(flats, num_classes, images, labels, strict=True))
        if self._pool is None:
            results = [self._loss_and_gradient(*call) for call in calls]
        else:
            results = list(self._pool.map(lambda call: self._loss_and_gradient(*call), calls))
        return torch.stack([loss for loss, _ in results]), [gradient for _, gradient in results]

    def _batched(
        self, flats: Sequence[Tensor], num_classes: Sequence[int], images: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Do the same under vmap, for one class count after the other."""
        losses: list[Tensor] = [flats[0].new_zeros(())] * len(flats)
        gradients: list[Tensor] = [flats[0]] * len(flats)
        sizes = {(k, images[b].shape[0]) for b, k in enumerate(num_classes)}
        for k, count in sorted(sizes):
            rows = [b for b, other in enumerate(num_classes) if other == k and images[b].shape[0] == count]
            with torch.enable_grad():
                leaf = torch.stack([flats[b].detach() for b in rows]).requires_grad_(True)
                stacked = torch.stack([images[b] for b in rows])
                self._module(k)  # built here, because vmap does not allow random initial values
                with autocast(stacked.device, self.precision):
                    output = vmap(lambda flat, batch, k=k: self.logits(flat, k, batch))(leaf, stacked)
                targets = torch.stack([labels[b] for b in rows])
                each = (
                    F.cross_entropy(output.float().flatten(0, 1), targets.flatten(), reduction="none")
                    .view(len(rows), -1)
                    .mean(1)
                )
                (gradient,) = torch.autograd.grad(each.sum(), leaf)
            for i, b in enumerate(rows):
                losses[b], gradients[b] = each[i].detach(), gradient[i]
        return torch.stack(losses), gradients

    def task_loss(
        self, flats: Sequence[Tensor], num_classes: Sequence[int], images: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Tensor:
        """Return the cross-entropy (B,) of each generated network, differentiable for the network's parameters.

        The gradients through the target networks are computed here, outside the caller's graph, and attached to the losses.
        So CPU networks can run in threads.
        """
        losses, gradients = self.losses_and_gradients(flats, num_classes, images, labels)
        # The added term is zero, and its gradient for `flat` is the gradient that was computed.
        attached = [
            loss + ((flat - flat.detach()) * gradient).sum()
            for loss, flat, gradient in zip(losses, flats, gradients, strict=True)
        ]
        return torch.stack(attached)
