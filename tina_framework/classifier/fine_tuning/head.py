"""Fit the rows of a linear or cosine head on a frozen trunk: logistic regression that starts from the generated rows.

A row of the head is the sum of the generated row and of what the pictures add to it. With unit features x, their class-balanced mean m
and unit generated rows t_k, the logits of the fit are

    z_k = S * (a t_k + v_k) . (x - m) + b_k,    a = start / sqrt(pictures per class)

and v and b minimise the class-balanced cross-entropy plus ``pull * sum of v^2``. This is the most probable head under a Gaussian prior
around the generated one (L2-SP; Li, Grandvalet and Davoine 2018, arXiv 1802.01483). Its weight falls as there are more pictures. A
plain logistic regression is the case a = 0.

The problem is convex, and the solution lies in the span of the features. So the fit takes well under a second, and it depends
neither on a seed nor on an order.

Shapes: N pictures, E features, K classes, R = min(N, E) dimensions of the span.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.classifier.fine_tuning.settings import HeadSettings

__all__ = ["Head", "find_head", "fit_head"]

_SCALE = 30.0
"""S, the factor on cosines. With it a regression can be sure of its answers although features have length 1."""

_ABSENT = 0.15
"""Share of the rise in logits that classes without pictures get, too. Otherwise the fitted rows would win over theirs too often."""

_CHUNK = 10
"""Steps of the optimizer between two checks whether it has converged."""

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Head:
    """The tensors of a head, and its form.

    Attributes:
        rows: name of the parameter (K, E).
        bias: name of the parameter (K,).
        scale: factor on the cosines of features and rows; None: the head is linear.
    """

    rows: str
    bias: str
    scale: float | None


def find_head(network: nn.Module, class_tensors: Collection[str]) -> Head | None:
    """Return what kind of head a network on features is, or None if it is no linear or cosine head with a bias.

    The form is found by trying: the outputs for random features are compared with those of the formulas.

    Args:
        network: from features (N, E) to logits (N, K).
        class_tensors: names of the parameters that grow with the number of classes; the others are shared by all classes.
    """
    parameters = dict(network.named_parameters())
    if set(parameters) != set(class_tensors):
        return None
    rows = [name for name, parameter in parameters.items() if parameter.dim() == 2]
    biases = [name for name, parameter in parameters.items() if parameter.dim() == 1]
    if len(rows) != 1 or len(biases) != 1 or len(parameters) != 2:
        return None
    weight, bias = parameters[rows[0]].detach(), parameters[biases[0]].detach()
    draws = torch.Generator().manual_seed(0)
    features = torch.rand(16, weight.shape[1], generator=draws).to(weight.device)
    with torch.no_grad():
        products = (network(features) - bias).double()
    linear = (features @ weight.T).double()
    if _close(products, linear):
        return Head(rows[0], biases[0], None)
    cosines = (F.normalize(features, dim=1) @ F.normalize(weight, dim=1).T).double()
    scale = float((products * cosines).sum() / cosines.square().sum().clamp_min(1e-12))
    return Head(rows[0], biases[0], scale) if scale > 0 and _close(products, scale * cosines) else None


def _close(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= _TOLERANCE * found.abs().max())


def fit_head(
    network: nn.Module,
    head: Head,
    features: Tensor,
    labels: Tensor,
    settings: HeadSettings,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Fit the rows and biases of `network` in place.

    Classes without a picture keep their rows. Their biases follow those of the others.

    Args:
        network: as given to `find_head`.
        head: what `find_head` returned.
        features: (N, E) features of the pictures.
        labels: (N,) int64 class indices. One class of a head of several must not be the only one with pictures.
        settings: how to fit.
        on_progress: called with (steps done, steps in all).
    """
    parameters = dict(network.named_parameters())
    rows, bias = parameters[head.rows], parameters[head.bias]
    # In double precision on the CPU, so that the answer is the same on every device, up to rounding.
    x, y = features.detach().double().cpu(), labels.cpu()
    generated, biases = rows.detach().double().cpu(), bias.detach().double().cpu()
    num_classes = len(generated)
    counts = torch.bincount(y, minlength=num_classes)
    weights = 1.0 / counts[y].double()
    weights /= weights.sum()
    # A cosine head sees directions alone. For a linear one, lengths are kept and only their unit is changed.
    size = x.norm(dim=1, keepdim=True).clamp_min(1e-12)
    length = generated.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if head.scale is None:
        size, length = size.mean(), length.mean()
    x, start = x / size, generated / length
    mean = (weights[:, None] * x).sum(dim=0)
    centred = x - mean

    shown = counts > 0
    typical = counts[shown].double().log().mean().exp()
    start = settings.start / typical.sqrt() * start
    added, offsets = _added(centred, y, weights, shown, start, settings, on_progress)
    fitted = start + added
    # The logits keep the scale that those of the generated head have.
    lengths = fitted.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if head.scale is None:
        lengths = lengths.mean().expand_as(lengths)
    fitted = fitted / lengths
    factor = head.scale if head.scale is not None else float(length * size)
    level = (factor * generated / length @ mean + biases).mean()
    new_biases = level + factor * (offsets / lengths[:, 0] - fitted @ mean)
    if not bool(shown.all()):
        rise = (centred * (fitted[y] - (generated / length)[y])).sum(dim=1)
        new_biases[~shown] += _ABSENT * factor * (weights * rise).sum().clamp_min(0)
    with torch.no_grad():
        rows.copy_(torch.where(shown[:, None], fitted * length, generated).to(rows))
        bias.copy_(new_biases.to(bias))


def _added(
    centred: Tensor,
    labels: Tensor,
    weights: Tensor,
    shown: Tensor,
    start: Tensor,
    settings: HeadSettings,
    on_progress: Callable[[int, int], None],
) -> tuple[Tensor, Tensor]:
    """Return v (K, E), what the pictures add to the scaled generated rows `start` (K, E), and the biases b / S (K,)."""
    # Outside the span of the features, only the penalty acts on v. So v is zero there.
    basis = torch.linalg.qr(centred.T).Q if len(centred) < centred.shape[1] else torch.eye(centred.shape[1]).double()
    inside = _SCALE * centred @ basis  # (N, R)
    fixed = (_SCALE * centred @ start.T)[:, shown]
    target = (shown.cumsum(dim=0) - 1)[labels]
    added = torch.zeros(int(shown.sum()), basis.shape[1], dtype=torch.float64, requires_grad=True)
    biases = torch.zeros(len(added), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([added, biases], max_iter=_CHUNK, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = F.cross_entropy(fixed + inside @ added.T + biases, target, reduction="none")
        loss = (weights * losses).sum() + settings.pull * added.square().sum()
        loss.backward()
        return loss

    before, converged = float("inf"), False
    for step in range(settings.steps):
        if step % _CHUNK == 0 and not converged:
            loss = float(optimizer.step(closure).detach())
            converged = before - loss < 1e-7
            before = loss
        on_progress(step + 1, settings.steps)
    found, offsets = torch.zeros_like(start), torch.zeros_like(start[:, 0])
    found[shown] = added.detach() @ basis.T
    offsets[shown] = biases.detach() / _SCALE
    return found, offsets
