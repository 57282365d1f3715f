"""Target networks as functions of their parameters: losses and gradients of many generated networks at once.

On a GPU all networks run together under vmap, whatever their class counts. On a CPU each runs by itself, in threads: small networks
are faster that way than under vmap, and torch runs a backward pass in the thread that calls it.

Shapes: B networks, N parameters at K class slots (padded), M images of a network; G groups of D networks that share images.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.device import runs_batched
from tina_framework.targets.distillation import SoftTargets, image_losses
from tina_framework.targets.im2col import Im2col
from tina_framework.targets.mean_prediction import draw_losses
from tina_framework.targets.worker_threads import worker_threads

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
        convolution: how networks that run together convolve: ``grouped`` or ``im2col``; see `tina_framework.targets.im2col`.
    """

    def __init__(
        self, spec: ParameterSpec, precision: str = "auto", workers: int = 1, convolution: str = "grouped"
    ) -> None:
        self.spec = spec
        self.precision = precision
        self.convolution = convolution
        self._modules: dict[tuple[int, int], nn.Module] = {}
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads. They are started again when they are needed."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
            self._modules.clear()  # each belongs to a thread

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
        self, flat_N: Tensor, num_classes: int, images: Tensor, labels: Tensor, soft: SoftTargets | None
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = flat_N.detach().requires_grad_(True)
            with autocast(images.device, self.precision):
                output = self.logits(leaf, num_classes, images)
            loss = image_losses(output.float(), labels, soft).mean()
            (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), gradient

    def _losses_of_draws(
        self,
        flats_DN: Tensor,
        num_classes: int,
        images: Tensor,
        labels: Tensor,
        soft: SoftTargets | None,
        joint_weight: float,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses (D,) of the networks of one group, and the gradients (D, N) of their sum."""
        with torch.enable_grad():
            leaves = [flat.detach().requires_grad_(True) for flat in flats_DN]
            with autocast(images.device, self.precision):
                outputs = [self.logits(leaf, num_classes, images) for leaf in leaves]
            losses = draw_losses(torch.stack(outputs).float(), labels, soft, joint_weight)
            gradients = torch.autograd.grad(losses.sum(), leaves)
        return losses.detach(), torch.stack(gradients)

    def losses_and_gradients(
        self,
        flat_BN: Tensor,
        class_mask_BK: Tensor,
        images_BM: Tensor,
        labels_BM: Tensor,
        soft: SoftTargets | None = None,
        draws: int = 1,
        joint_weight: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each network on its own images, and the gradient for the network's parameters.

        The loss is the cross-entropy, or `tina_framework.targets.distillation.image_losses` with a teacher. If several
        draws share images, it is `tina_framework.targets.mean_prediction.draw_losses`. The loss of one draw then depends
        on the others of its group, and gradients are those of the sum of all losses.

        Args:
            flat_BN: (B, N) parameters at K class slots.
            class_mask_BK: (B, K) bool, which class slots exist: the first ones, at least one in each row.
            images_BM: (B, M, C, H, W), or features (B, M, *feature_shape). With several draws: G = B / draws instead of B.
            labels_BM: (B, M) slots of classes that exist; (G, M) with several draws.
            soft: what a teacher says of these images, with logits (B, M, K); (G, M, K) with several draws.
            draws: how many neighbouring networks share classes and images.
            joint_weight: with several draws, the share of the loss of their mean probabilities.

        Returns:
            (B,) mean losses, and gradients (B, N), zero in empty slots. Neither carries an autograd graph: see `task_loss`.
        """
        if runs_batched(images_BM.device):
            return self._batched(flat_BN.detach(), class_mask_BK, images_BM, labels_BM, soft, draws, joint_weight)
        # One call is one network, or all networks of a group, whose losses depend on each other.
        compute: Callable[..., tuple[Tensor, Tensor]] = self._loss_and_gradient
        parts = flat_BN.detach()
        if draws > 1:
            compute = functools.partial(self._losses_of_draws, joint_weight=joint_weight)
            parts = parts.unflatten(0, (-1, draws))
        most, counts = class_mask_BK.shape[1], class_mask_BK[::draws].sum(1).tolist()
        flats = [self.spec.narrow(part, most, count) for part, count in zip(parts, counts, strict=True)]
        softs = [None if soft is None else soft.of_network(row, count) for row, count in enumerate(counts)]
        calls = list(zip(flats, counts, images_BM, labels_BM, softs, strict=True))
        if self._workers > 1 and self._pool is None:
            self._pool = worker_threads(self._workers)
        if self._pool is None:
            results = [compute(*call) for call in calls]
        else:
            results = list(self._pool.map(lambda call: compute(*call), calls))
        wide = [self.spec.widen(part, count, most) for (_, part), count in zip(results, counts, strict=True)]
        losses, gradients = torch.stack([loss for loss, _ in results]), torch.stack(wide)
        return (losses, gradients) if draws == 1 else (losses.flatten(0, 1), gradients.flatten(0, 1))

    def _batched(
        self,
        flat_BN: Tensor,
        class_mask_BK: Tensor,
        images_BM: Tensor,
        labels_BM: Tensor,
        soft: SoftTargets | None,
        draws: int,
        joint_weight: float,
    ) -> tuple[Tensor, Tensor]:
        """Compute the same under vmap: in one call, or in one call for each class count if empty slots change the logits."""
        most = class_mask_BK.shape[1]
        if self._ignores_empty_slots:
            return self._together(flat_BN, most, class_mask_BK, images_BM, labels_BM, soft, draws, joint_weight)
        counts = class_mask_BK.sum(1).tolist()
        losses: list[Tensor] = list(flat_BN.new_zeros(len(counts)))
        gradients: list[Tensor] = list(flat_BN)
        for count in sorted(set(counts)):
            rows = [row for row, other in enumerate(counts) if other == count]
            groups = [row // draws for row in rows[::draws]]
            flats, mask = (torch.stack([values[row] for row in rows]) for values in (flat_BN, class_mask_BK[:, :count]))
            images, labels = (torch.stack([values[group] for group in groups]) for values in (images_BM, labels_BM))
            own = None if soft is None else soft.of_network(groups, count)
            narrow = self.spec.narrow(flats, most, count)
            found = self._together(narrow, count, mask, images, labels, own, draws, joint_weight)
            for row, loss, gradient in zip(rows, found[0], self.spec.widen(found[1], count, most), strict=True):
                losses[row], gradients[row] = loss, gradient
        return torch.stack(losses), torch.stack(gradients)

    def _together(
        self,
        flat_BN: Tensor,
        num_classes: int,
        class_mask_BK: Tensor,
        images_BM: Tensor,
        labels_BM: Tensor,
        soft: SoftTargets | None,
        draws: int,
        joint_weight: float,
    ) -> tuple[Tensor, Tensor]:
        """Return losses and gradients of networks of one size. Empty slots get no probability, so their gradient is zero."""
        self._module(num_classes)  # built here, because vmap does not allow random initial values
        with torch.enable_grad():
            leaf = flat_BN.detach().requires_grad_(True)
            product = Im2col() if self.convolution == "im2col" else contextlib.nullcontext()
            device, weights = images_BM.device, leaf
            if device.type == "cpu" and resolve_precision(device, self.precision) == "bf16":
                # Autocast of the CPU does not reach convolutions under vmap, so weights and images would differ in type.
                weights, images_BM = leaf.to(torch.bfloat16), images_BM.to(torch.bfloat16)
            if draws > 1:
                images_BM = images_BM.repeat_interleave(draws, 0)
            with autocast(device, self.precision), product:
                run = vmap(lambda flat, images: self.logits(flat, num_classes, images), randomness="different")
                output: Tensor = run(weights, images_BM)
            logits = output.float().masked_fill(~class_mask_BK[:, None], -torch.inf)
            if draws > 1:
                losses = draw_losses(logits.unflatten(0, (-1, draws)), labels_BM, soft, joint_weight).flatten()
            else:
                losses = image_losses(logits, labels_BM, soft).mean(1)
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradient

    @functools.cached_property
    def _ignores_empty_slots(self) -> bool:
        """Whether the logits of classes stay the same where the network has more class slots. Tried once, on random numbers.

        A linear head does so. A network that normalises over its classes, for example, does not.
        """
        few, many = 2, 5
        rng = torch.Generator().manual_seed(0)
        flat = 0.1 * torch.randn(self.spec.num_parameters(many), generator=rng)
        images = torch.randn(2, *self.spec.architecture.network_input, generator=rng)
        found = []
        with torch.no_grad(), torch.device("meta"):
            modules = {count: self.spec.architecture.build(count).eval() for count in (few, many)}
        with torch.no_grad():
            for count, module in modules.items():
                state = self.spec.unflatten(self.spec.narrow(flat, many, count), count)
                found.append(functional_call(module, state, (images,))[:, :few])
        return torch.allclose(found[0], found[1], rtol=1e-4, atol=1e-5)

    def task_loss(
        self,
        flat_BN: Tensor,
        class_mask_BK: Tensor,
        images_BM: Tensor,
        labels_BM: Tensor,
        soft: SoftTargets | None = None,
        draws: int = 1,
        joint_weight: float = 0.0,
    ) -> Tensor:
        """Return the loss (B,) of each generated network, differentiable for the network's parameters.

        The gradients through the target networks are computed here, outside the caller's graph, and attached to the losses.
        So CPU networks can run in threads. The arguments are those of `losses_and_gradients`.
        """
        group = draws, joint_weight
        losses, gradients = self.losses_and_gradients(flat_BN, class_mask_BK, images_BM, labels_BM, soft, *group)
        # The added term is zero, and its gradient for `flat_BN` is the gradient that was computed. So the gradient of the
        # sum or of the mean of all losses is right, also where the loss of a draw depends on other draws.
        return losses + ((flat_BN - flat_BN.detach()) * gradients).sum(1)
